"""`python -m whyhere`, and the command `whyhere`."""


def main() -> None:
    """Run the command line; Ctrl-C is answered while it is still being loaded, too."""
    try:
        from whyhere.cli import main as run

        run()
    except KeyboardInterrupt:
        import os
        import sys

        print("whyhere: interrupted before anything was done", file=sys.stderr, flush=True)
        os._exit(130)


if __name__ == "__main__":
    main()
