"""Files that the tests of photos share."""

from __future__ import annotations

import base64
import zlib

import pytest

# 32 x 16 stored, orientation 6: upright 16 x 32, red above blue, at 48 51 30 N, 2 17 40 E. Made once with
# pillow-heif, because pi-heif only reads.
_HEIC = zlib.decompress(
    base64.b64decode(
        "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYHxeG5qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jF+BpCA8F1oBgQ"
        "MB2Ci0wDYovMzLw0MA8kKwrkpIKVAdVklCUbMiAJMoKUuFZkgpXzFWSW5DJAVTKyZRYUFQDZTzMLkvOBdClQrzMjM0hoAliR3AeG"
        "P39//GBg4GdOAOqQcGDkYfz/H6SAGaSCGYTkdjE5JAIlNZ0YGdFkFig0sk57tW7WsweKCw40MDDwNICEW5KAqtlcGA8WH+wE2iGc"
        "nJ9TlJecUwEU5WVgAyphEMksLkiF+tYBijWScxJBDlOAuJ1BAET/////ASgMgPQFaFgIFGRWZII0MnNwcAApzsyi/BKgcxgkMwty"
        "YXHCCPR7IxMza0sbkCOVWZSaBpXgS04pTgbHAih8SnNTEkHRdVmDcT3nifS99yyVw+v/X9gz/7/t44V/Fptp1//Ym/z+cUb+/12r"
        "7ae8/ntyld4h9eXmVy9w+fxLL2GquBym4f7SbkWu/6EbTyuWfL9bfW5Kr9ybp4Hzty7/JBP5QPX+rGVZa1acu71ekv/y+YDJE7wL"
        "mua0qrY4uf+x5HLjefn5dahUyvT5G5WY75e+twoyqd4s2MX14+nHE7/ePbtm8nTSOV1Z245zkzpW3GtqsPOK/L24UKLF8rr9lsAr"
        "so8fGu06nfJDu87V0eju//NptzbLbP3YubXPXW0Oy9U7RvrtoCBlg6QKX18GLSCPg4GJUQgUcaDYYWDoUGVggQa1GjhoWCApiYHJ"
        "D5LsWBnA0cwQAyTB4q4QVTBxWDo3gJpiDKXloDQTlBaE0hogGgADXNLU"
    )
)


@pytest.fixture
def heic() -> bytes:
    """A tiny HEIC photo with orientation and position."""
    return _HEIC
