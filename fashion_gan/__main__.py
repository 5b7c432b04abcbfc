"""Runs the command `fashion-gan` as `python -m fashion_gan`."""

import sys


def main() -> int:
    """Runs a command as `cli.main.main` does; answers Ctrl-C from the start, while modules load."""
    try:
        from fashion_gan.cli.main import main

        return main()
    except KeyboardInterrupt:
        print("\nfashion-gan: interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
