"""The large state, drawn with full blocks: five rows, legible from two metres in any terminal."""

from __future__ import annotations

# Five rows of five columns (I, 1, ! and the space are narrower); `#` is a full block.
_GLYPHS = {
    "A": (" ### ", "#   #", "#####", "#   #", "#   #"),
    "C": (" ####", "#    ", "#    ", "#    ", " ####"),
    "D": ("#### ", "#   #", "#   #", "#   #", "#### "),
    "E": ("#####", "#    ", "#### ", "#    ", "#####"),
    "G": (" ####", "#    ", "#  ##", "#   #", " ####"),
    "H": ("#   #", "#   #", "#####", "#   #", "#   #"),
    "I": ("###", " # ", " # ", " # ", "###"),
    "J": ("  ###", "   # ", "   # ", "#  # ", " ##  "),
    "K": ("#   #", "#  # ", "###  ", "#  # ", "#   #"),
    "L": ("#    ", "#    ", "#    ", "#    ", "#####"),
    "N": ("#   #", "##  #", "# # #", "#  ##", "#   #"),
    "O": (" ### ", "#   #", "#   #", "#   #", " ### "),
    "P": ("#### ", "#   #", "#### ", "#    ", "#    "),
    "S": (" ####", "#    ", " ### ", "    #", "#### "),
    "T": ("#####", "  #  ", "  #  ", "  #  ", "  #  "),
    "U": ("#   #", "#   #", "#   #", "#   #", " ### "),
    "W": ("#   #", "#   #", "# # #", "## ##", "#   #"),
    "✓": ("     #", "    # ", "#  #  ", " ##   ", " #    "),
    "!": ("##", "##", "##", "  ", "##"),
    "■": ("######", "######", "######", "######", "######"),
    "?": (" ### ", "#   #", "  ## ", "     ", "  #  "),
    "…": ("        ", "        ", "        ", "        ", "## ## ##"),
    "✕": ("#   #", " # # ", "  #  ", " # # ", "#   #"),
    " ": ("  ",) * 5,
}
HEIGHT = 5


def draw(symbol: str, word: str, width: int) -> list[str]:
    """Five rows alike long, of at most `width` columns; a single row where the blocks do not fit."""
    text = f"{symbol} {word}"
    rows = [" ".join(_GLYPHS[letter][row] for letter in text).replace("#", "█") for row in range(HEIGHT)]
    if len(rows[0]) > width:
        return [text]
    return rows
