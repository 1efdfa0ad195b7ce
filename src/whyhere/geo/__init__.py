"""Earth: positions, distances, cells, names of places and countries, regions, a small map.

Imports nothing else of whyhere but `errors`. Importing it loads neither shapely nor h3 nor any table; the
functions that need them do.
"""

from whyhere.geo._area_names import AreaName, area_name
from whyhere.geo._basemap import Basemap, basemap
from whyhere.geo._cells import (
    cell_area_km2,
    cell_boundary,
    cell_centre,
    cell_number,
    cell_radius_km,
    cell_string,
    cells_of,
)
from whyhere.geo._countries import (
    COASTAL_KM,
    Country,
    checked_positions,
    countries,
    country_codes,
    find_country,
)
from whyhere.geo._land_cells import land_cells, land_fingerprint, populated_cells
from whyhere.geo._latlon import LatLon
from whyhere.geo._packed import tables_fingerprint
from whyhere.geo._place_name import PlaceName
from whyhere.geo._places import place_name, place_names
from whyhere.geo._position import POSITIONS, read_position
from whyhere.geo._regions import Region, parse_region
from whyhere.geo._sphere import (
    EARTH_RADIUS_KM,
    great_circle_km,
    lat_lon_of,
    unit_vectors,
    vector_distance_km,
    wrap_lon,
)
from whyhere.geo._towns import find_town
from whyhere.geo._units import country_units

__all__ = [
    "COASTAL_KM",
    "EARTH_RADIUS_KM",
    "POSITIONS",
    "AreaName",
    "Basemap",
    "Country",
    "LatLon",
    "PlaceName",
    "Region",
    "area_name",
    "basemap",
    "cell_area_km2",
    "cell_boundary",
    "cell_centre",
    "cell_number",
    "cell_radius_km",
    "cell_string",
    "cells_of",
    "checked_positions",
    "countries",
    "country_codes",
    "country_units",
    "find_country",
    "find_town",
    "great_circle_km",
    "land_cells",
    "land_fingerprint",
    "lat_lon_of",
    "parse_region",
    "place_name",
    "place_names",
    "populated_cells",
    "read_position",
    "tables_fingerprint",
    "unit_vectors",
    "vector_distance_km",
    "wrap_lon",
]
