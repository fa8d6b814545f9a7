"""Make a trained CNN fast on a given CPU by merging its layers. Start: python cli.py --help"""

import sys

try:
    from search.commands.main import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: {missing.name} is not installed for {sys.executable}; README.md's first command sets all up"
    )

if __name__ == "__main__":
    main()
