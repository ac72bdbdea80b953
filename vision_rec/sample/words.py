"""The shop's words: what an article is called, made of, priced and used for."""

# Word lists read best dense.
# fmt: off

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """How one article is named, filed, sized and priced."""

    code: str  # prefix of product ids
    noun: str
    path: str  # product_type
    price: float  # of an ordinary one, EUR
    sizes: tuple[str, ...]
    genders: tuple[str, ...]
    brands: tuple[str, ...]
    uses: tuple[str, ...]
    details: tuple[str, ...]


_CLOTHES = ("XS", "S", "M", "L", "XL")
_WAISTS = ("W28", "W30", "W32", "W34", "W36")
_SHOES = tuple(str(n) for n in range(36, 46))
_ONE = ("one size",)
_ANYONE = ("female", "male", "unisex")
_WEAR = ("Fennmark", "Marlow Lane", "Ostara", "Tidewell", "Bramble & Co")
_FEET = ("Brindle", "Strideway", "Ostara", "Halden Row")
_CARRY = ("Carrow", "Marlow Lane", "Pennant Goods", "Tidewell")
_HOME = ("Hearth & Hue", "Lumenby", "Claybourne", "Oaken Studio")

WORDING: dict[str, Wording] = {
    "t-shirt": Wording(
        "TSH", "T-shirt", "Apparel > Tops > T-Shirts", 24, _CLOTHES, _ANYONE, _WEAR,
        (
            "An easy layer for warm days and for under a jacket.",
            "Made for weekends, travel and everything between.",
            "The one you reach for first in the morning."
        ),
        (
            "Ribbed collar and double-stitched hem.",
            "Shoulder seams are taped so that it keeps its shape.",
            "Softens a little more with every wash."
        )
    ),
    "shirt": Wording(
        "SHR", "shirt", "Apparel > Tops > Shirts", 49, _CLOTHES, _ANYONE, _WEAR,
        (
            "Smart enough for the office, easy enough for dinner.",
            "Wear it buttoned up at work or open over a T-shirt.",
            "A good companion for weddings and garden parties."
        ),
        (
            "Buttoned front with a curved hem.", "Cut with a little room at the back for moving.",
            "The buttons are sewn on to stay."
        )
    ),
    "sweater": Wording(
        "SWE", "sweater", "Apparel > Tops > Sweaters", 69, _CLOTHES, _ANYONE, _WEAR,
        (
            "For cold mornings and long walks.", "Warm without weighing you down.",
            "Just right by the fire or under a coat."
        ),
        (
            "Ribbed cuffs and hem hold their shape.", "Knitted in one piece at the shoulders.",
            "Feels soft on bare skin."
        )
    ),
    "jacket": Wording(
        "JAC", "jacket", "Apparel > Outerwear > Jackets", 119, _CLOTHES, _ANYONE, _WEAR,
        (
            "A layer for wind, drizzle and city evenings.",
            "Goes over a sweater in autumn and a T-shirt in spring.",
            "Made for commuting and for weekends away."
        ),
        (
            "Two front pockets and one inside.", "Fully lined with smooth sleeves.",
            "Closes high against the wind."
        )
    ),
    "dress": Wording(
        "DRE", "dress", "Apparel > Dresses", 79, _CLOTHES, ("female",), _WEAR,
        (
            "For garden parties, holidays and warm evenings.",
            "Dress it up with heels or down with sneakers.", "Light enough to dance in."
        ),
        (
            "Falls softly from the waist.", "Side seam pockets, deep enough for a phone.",
            "Lined to the hem."
        )
    ),
    "trousers": Wording(
        "TRO", "trousers", "Apparel > Bottoms > Trousers", 59, _WAISTS, _ANYONE, _WEAR,
        (
            "From the desk to the bike to the bar.", "An everyday pair that goes with every top.",
            "Comfortable through a long day on your feet."
        ),
        (
            "Five pockets, belt loops and a metal button.", "Sits just below the waist.",
            "Pre-washed, so the fit stays as it is."
        )
    ),
    "skirt": Wording(
        "SKI", "skirt", "Apparel > Bottoms > Skirts", 45, _CLOTHES, ("female",), _WEAR,
        (
            "Swings with tights in winter and sandals in summer.",
            "For the office, the museum and the dance floor.", "Easy to match with a plain top."
        ),
        ("Smooth waistband with a hidden zip.", "Moves well and does not cling.", "Hem finished by hand.")
    ),
    "cap": Wording(
        "CAP", "hat", "Apparel > Accessories > Hats", 22, ("S/M", "L/XL"), ("unisex",),
        ("Pennant Goods", "Tidewell", "Fennmark"),
        (
            "Keeps the sun out of your eyes, or the cold off your ears.",
            "For the beach, the bleachers and bad hair days.", "Packs flat in a coat pocket."
        ),
        ("Lined with a soft sweatband.", "Holds its shape after washing.", "Stitched in six rows.")
    ),
    "sneaker": Wording(
        "SNE", "sneakers", "Shoes > Sneakers", 79, _SHOES, _ANYONE, _FEET,
        (
            "Made for city walks and long airport days.", "For running errands, or just running.",
            "An everyday shoe with a springy step."
        ),
        (
            "Cushioned insole and grippy rubber sole.", "Reinforced toe and padded collar.",
            "Flat laces that stay tied."
        )
    ),
    "boot": Wording(
        "BOO", "boots", "Shoes > Boots", 129, _SHOES, _ANYONE, _FEET,
        (
            "For wet streets, forest paths and everything in between.",
            "Sturdy in winter, good-looking all year.", "Walks for miles and polishes up well."
        ),
        ("Stitched welt that can be resoled.", "Deep tread for snow and leaves.", "Padded at the ankle.")
    ),
    "pump": Wording(
        "PUM", "shoes", "Shoes > Pumps", 89, _SHOES[:6], ("female",), _FEET,
        (
            "For the office, the opera and the after-party.", "Turns jeans into an outfit.",
            "Steady enough to dance all night."
        ),
        (
            "Padded footbed and a non-slip sole.", "Lined in soft leather.",
            "The heel is balanced for walking."
        )
    ),
    "handbag": Wording(
        "HAN", "bag", "Bags > Handbags", 95, _ONE, ("female", "unisex"), _CARRY,
        (
            "Room for a book, a bottle and the day's surprises.", "Goes from market to meeting.",
            "Big enough for work, small enough for dinner."
        ),
        (
            "Inside pocket with a zip.", "Metal feet keep the base clean.",
            "Handles long enough for the shoulder."
        )
    ),
    "backpack": Wording(
        "BAC", "backpack", "Bags > Backpacks", 75, _ONE, ("unisex",), _CARRY,
        (
            "For school, the office and short trips.", "Carries a laptop and a change of clothes.",
            "Built for bikes, trains and trails."
        ),
        (
            "Padded straps and a sleeve for a 15-inch laptop.", "Front pocket for keys and snacks.",
            "Water-repellent, with covered zips."
        )
    ),
    "watch": Wording(
        "WAT", "watch", "Accessories > Watches", 145, _ONE, _ANYONE,
        ("Meridian Nine", "Halden Row", "Tolland"),
        (
            "Tells the time quietly, at work and at weekends.", "Slim enough to slip under a cuff.",
            "A present that lasts."
        ),
        (
            "Quartz movement, water-resistant to 50 m.", "Mineral glass and a steel case back.",
            "The strap changes without tools."
        )
    ),
    "lamp": Wording(
        "LAM", "table lamp", "Home > Lighting > Table Lamps", 69, ("52 cm", "58 cm", "64 cm"), ("",),
        _HOME,
        (
            "Gives a warm light for reading and late talks.",
            "For the bedside, the desk or a dark corner.", "Makes a room feel lived in."
        ),
        (
            "Dimmer switch on the cord.", "Takes an E27 bulb, not included.",
            "Heavy foot that does not tip."
        )
    ),
    "chair": Wording(
        "CHA", "chair", "Home > Furniture > Chairs", 189, ("48 x 52 x 82 cm", "74 x 78 x 86 cm"), ("",),
        _HOME,
        (
            "For long dinners, homework and board games.", "Pull it up to the table or the window.",
            "A quiet corner to read in."
        ),
        (
            "Solid wooden legs with felt pads.", "Assembles in five minutes.",
            "The cover comes off for cleaning."
        )
    ),
    "mug": Wording(
        "MUG", "mug", "Home > Kitchen > Mugs", 14, ("0.3 l", "0.35 l", "0.4 l"), ("",), _HOME,
        (
            "For the first coffee and the last tea.", "Sits well in two cold hands.",
            "A small present for a big tea drinker."
        ),
        (
            "Safe in dishwasher and microwave.", "Glazed inside and out.",
            "The handle has room for three fingers."
        )
    ),
    "vase": Wording(
        "VAS", "vase", "Home > Decoration > Vases", 39, ("22 cm", "28 cm", "34 cm"), ("",), _HOME,
        (
            "For tulips, dried grasses or nothing at all.", "Looks good on a windowsill or a long table.",
            "Lifts a plain shelf."
        ),
        (
            "Watertight and glazed by hand.", "Every piece differs a little.",
            "Felt pads protect the table."
        )
    ),
    "cushion": Wording(
        "CUS", "cushion", "Home > Textiles > Cushions", 29, ("45 x 45 cm", "30 x 50 cm", "40 cm round"),
        ("",), _HOME,
        (
            "Wakes up a quiet sofa.", "For the reading chair, the bench and the bed.",
            "Soft company for film nights."
        ),
        ("Comes with a feather filling.", "Hidden zip, washable cover.", "Piped edges keep it in shape.")
    ),
    "umbrella": Wording(
        "UMB", "umbrella", "Accessories > Umbrellas", 35, _ONE, ("unisex",),
        ("Tidewell", "Pennant Goods", "Halden Row"),
        (
            "Cheers up a rainy day.", "For showers, drizzle and dramatic entrances.",
            "Wide enough for two."
        ),
        (
            "Opens at the push of a button.", "Eight fibreglass ribs bend and do not break.",
            "Dries in minutes."
        )
    )
}

# What a texture is called on a label; an article may have its own word.
MATERIALS = {
    "jersey": "cotton jersey", "knit": "merino wool", "denim": "denim", "linen": "linen",
    "canvas": "cotton canvas", "corduroy": "corduroy", "satin": "satin", "leather": "leather",
    "suede": "suede", "felt": "wool felt", "ceramic": "glazed stoneware", "woven": "woven wool"
}
OWN_MATERIALS = {
    ("lamp", "ceramic"): "opal glass", ("cushion", "knit"): "knitted cotton",
    ("umbrella", "satin"): "polyester satin", ("shirt", "satin"): "silk satin",
    ("watch", "canvas"): "nylon canvas", ("mug", "ceramic"): "glazed porcelain"
}
FEEL = {
    "jersey": "soft and light on the skin", "knit": "warm, springy and breathable",
    "denim": "sturdy and broken in from day one", "linen": "cool and crisp with a lively texture",
    "canvas": "tough and hard-wearing", "corduroy": "velvety with a fine rib",
    "satin": "smooth with a gentle shine", "leather": "supple and ageing beautifully",
    "suede": "soft with a fine nap", "felt": "dense, warm and quiet",
    "ceramic": "glossy and easy to clean", "woven": "woven with a lively basket texture"
}
PRICE_OF_MATERIAL = {"leather": 1.45, "suede": 1.3, "knit": 1.1, "satin": 1.1, "jersey": 0.95, "canvas": 0.95}

PATTERN_LABEL = {
    "solid": "solid", "stripes": "striped", "check": "checked", "dots": "polka dot", "floral": "floral",
    "chevron": "chevron", "argyle": "argyle", "leopard": "leopard print"
}
PATTERN_SENTENCE = {
    "solid": "One calm {colour} all over", "stripes": "{second} stripes on {colour}",
    "check": "{second} checks on {colour}", "dots": "{second} polka dots on {colour}",
    "floral": "{second} flowers scattered over {colour}",
    "chevron": "{second} chevron zigzags on {colour}", "argyle": "{second} argyle diamonds on {colour}",
    "leopard": "{second} leopard spots on {colour}"
}
