"""The program ``rebirth``, also ``python -m rebirth``."""

from search.commands.main import main

if __name__ == "__main__":
    main()
