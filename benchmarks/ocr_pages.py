"""Draws pages and lines of English and Chinese text, with noise, blur and rotation."""

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LATIN = sorted(Path("/usr/share/fonts").rglob("DejaVu*.ttf")) + sorted(
    Path("/usr/share/fonts").rglob("Liberation*.ttf")
)
CJK = sorted(Path("/usr/share/fonts").rglob("Noto*CJK*.ttc"))
_TEXT = (
    "the quick brown fox jumps over lazy dog invoice total amount date number address street city "
    "order delivery payment account customer service product price quantity report annual summary "
    "contract page section table figure north south station exit platform open closed daily fresh "
    "coffee garden museum library school hospital office window morning evening summer winter mountain "
    "river bridge market paper letter phone email water bread light music history science travel "
    "winner record system network"
)
WORDS = _TEXT.split()
CHARACTERS = (
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天"
    "而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些"
    "与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次"
)


def line(dice: random.Random) -> tuple[str, Path]:
    """A line of text, and a font that has its characters."""
    if CJK and dice.random() < 0.4:
        return "".join(dice.choice(CHARACTERS) for _ in range(dice.randint(4, 10))), dice.choice(CJK)
    words = (dice.choice(WORDS) for _ in range(dice.randint(1, 3)))
    return " ".join(word.capitalize() if dice.random() < 0.3 else word for word in words), dice.choice(LATIN)


def page(seed: int, size: int) -> tuple[Image.Image, list[str]]:
    """A square page, and its lines from top to bottom."""
    dice = random.Random(seed)
    ground = tuple(dice.randint(150, 255) for _ in range(3))
    picture = Image.new("RGB", (size, size), ground)
    pen, lines, top = ImageDraw.Draw(picture), list[str](), dice.randint(8, 40)
    while True:
        text, font = line(dice)
        drawn = ImageFont.truetype(str(font), dice.randint(18, 44))
        left, upper, right, lower = drawn.getbbox(text)
        if top + lower - upper + 12 > size:
            break
        if right - left < size - 16:
            ink = tuple(dice.randint(0, 90) for _ in range(3))
            pen.text(
                (dice.randint(8, int(size - (right - left)) - 8), top - upper), text, fill=ink, font=drawn
            )
            lines.append(text)
            top += int(lower - upper) + dice.randint(14, 60)
    picture = picture.rotate(dice.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=ground)
    return _worn(picture, dice), lines


def strip(seed: int, height: int = 48, width: int = 192) -> Image.Image:
    """A line alone, as an OCR's direction classifier gets it: scaled to the height, padded with grey."""
    dice = random.Random(seed)
    text, font = line(dice)
    drawn = ImageFont.truetype(str(font), 40)
    left, upper, right, lower = drawn.getbbox(text)
    ground = tuple(dice.randint(150, 255) for _ in range(3))
    picture = Image.new("RGB", (int(right - left) + 16, int(lower - upper) + 12), ground)
    ink = tuple(dice.randint(0, 90) for _ in range(3))
    ImageDraw.Draw(picture).text((8 - left, 6 - upper), text, fill=ink, font=drawn)
    wide = min(width, round(height * picture.width / picture.height))
    whole = Image.new("RGB", (width, height), (128, 128, 128))
    whole.paste(_worn(picture, dice).resize((wide, height), Image.Resampling.BILINEAR), (0, 0))
    return whole


def _worn(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Blurred and noisy, as a photo is."""
    blurred = picture.filter(ImageFilter.GaussianBlur(dice.uniform(0, 1.0)))
    noise = np.random.default_rng(dice.randrange(2**32)).normal(
        0, dice.uniform(0, 10), (*blurred.size[::-1], 3)
    )
    return Image.fromarray((np.asarray(blurred) + noise).clip(0, 255).astype(np.uint8))
