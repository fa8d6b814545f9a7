"""Make a trained CNN fast on a given CPU by merging its layers. Start: python cli.py --help"""

from search.commands.main import main

if __name__ == "__main__":
    main()
