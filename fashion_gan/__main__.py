"""`python -m fashion_gan`."""

from fashion_gan.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
