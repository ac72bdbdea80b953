"""Read single values: prices, currencies, availability words, dates, HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from vision_rec.feeds.rows import Number
from vision_rec.types import Availability

MAX_AMOUNT = Decimal(10) ** 12
_NOISE = Decimal("0.000001")  # what binary floats add to a price
_ISO_4217 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF "
    "GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK "
    "LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR "
    "PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF "
    "XPF YER ZAR ZMW ZWG"
)
_EXPONENTS = {
    **dict.fromkeys(_ISO_4217.split(), 2),
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS", "₫": "VND",
    "₴": "UAH", "฿": "THB", "₱": "PHP", "ZŁ": "PLN", "KČ": "CZK", "US$": "USD", "A$": "AUD", "AU$": "AUD",
    "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "R$": "BRL",
}  # fmt: skip
_SHARED_SIGNS = {  # several currencies use them: the first is meant where nothing else is said
    "$": "USD AUD CAD NZD SGD HKD TWD MXN ARS CLP COP UYU BBD BMD BSD BZD FJD GYD JMD KYD LRD NAD SBD SRD "
    "TTD XCD",
    "¥": "JPY CNY",
    "KR": "SEK NOK DKK ISK",
}
_PRICE = re.compile(r"(?P<before>[^\d.,+-]*)(?P<number>[+-]?\d[\d., ']*|\.\d+)(?P<after>\D*)", re.ASCII)
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "−": "-"})


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in major units and its ISO 4217 code, None where nothing names one."""

    amount: Decimal
    currency: str | None


def check_currency(code: str) -> str:
    """Return the upper-case ISO 4217 code; ValueError for anything else."""
    known = code.strip().upper()
    if known not in _EXPONENTS:
        raise ValueError(f"unknown currency {code!r}; write an ISO 4217 code such as USD or EUR")
    return known


def parse_price(text: str, currency: str | None = None, default_currency: str | None = None) -> Money:
    """Read '12.99 USD', 'USD 12.99', '12,99 €', '1.299,00' and the like; ValueError says what is wrong.

    `currency` is what another column says and must agree; `default_currency` fills in where nothing does.
    """
    written = _plain(text) if isinstance(text, Number) else text
    match = _PRICE.fullmatch(written.translate(_BLANKS).strip())
    if match is None:
        raise ValueError(f"cannot read the price {text!r}; write it like '12.99 USD'")
    number, words = match["number"].strip(), (match["before"].strip(), match["after"].strip())
    if number.startswith("-"):
        raise ValueError(f"the price {text!r} is negative")
    code = _currency(words, currency, default_currency)
    exponent = _EXPONENTS[code] if code else None
    exact = isinstance(text, Number) or number.startswith(".")
    return Money(_fit(_amount(number.lstrip("+"), exponent, exact=exact), exponent, code), code)


def _plain(number: str) -> str:
    """Write a machine's number without an exponent: '1e-05' → '0.00001'."""
    try:
        amount = Decimal(number)
    except InvalidOperation:
        return number
    return f"{amount:f}" if amount.is_finite() and abs(amount.adjusted()) < 40 else number


def _currency(words: tuple[str, str], column: str | None, default: str | None) -> str | None:
    said = {word.upper() for word in words if word}
    signs = [_SHARED_SIGNS[word].split() for word in said if word in _SHARED_SIGNS]
    codes = {_SIGNS.get(word) or check_currency(word) for word in said if word not in _SHARED_SIGNS}
    codes |= {column} if column else set()
    if not codes and signs:
        codes = {default if default and default in signs[0] else signs[0][0]}
    if len(codes) > 1 or (codes and any(not codes & set(sign) for sign in signs)):
        raise ValueError(f"two currencies are named: {', '.join(sorted({*said, *codes}))}")
    return codes.pop() if codes else default


def _amount(number: str, exponent: int | None, *, exact: bool) -> Decimal:
    whole, point, fraction = _split(number, exponent, exact=exact)
    groups = re.split(r"[., ']", whole)
    if len(set(re.findall(r"[., ']", whole))) > 1 or point and point in whole:
        raise ValueError(f"cannot read the number {number!r}: its separators contradict each other")
    if groups[1:] and not (
        1 <= len(groups[0]) <= 3
        and len(groups[-1]) == 3
        and all(len(group) in (2, 3) for group in groups[1:])
    ):
        raise ValueError(f"cannot read the number {number!r}: digits come in groups of three")
    digits = "".join(groups) or "0"
    if not (digits + fraction).isdigit():
        raise ValueError(f"cannot read the number {number!r}; write it like '12.99'")
    amount = Decimal(f"{digits}.{fraction or 0}")
    if amount >= MAX_AMOUNT:
        raise ValueError(f"the price {number} is absurdly high")
    return amount


def _split(number: str, exponent: int | None, *, exact: bool) -> tuple[str, str, str]:
    """Split a number into whole part, decimal separator ('' where none) and fraction."""
    last = max(number.rfind("."), number.rfind(","))
    if last < 0:
        return number, "", ""
    whole, point, fraction = number[:last], number[last], number[last + 1 :]
    if exact:
        return whole, point, fraction
    if point in whole:  # 1.299.000
        return number, "", ""
    alone = not re.search(r"[., ']", whole)
    if alone and len(fraction) == 3 and 1 <= len(whole) <= 3 and whole != "0":
        if exponent == 0 or (point == "," and exponent != 3):
            return number, "", ""
        if exponent != 3 or point == ",":
            raise ValueError(
                f"the number {number!r} is ambiguous: thousands or decimals? Write it like '1299.00'"
            )
    return whole, point, fraction


def _fit(amount: Decimal, exponent: int | None, currency: str | None) -> Decimal:
    """Round away the noise of binary floats and refuse decimals that the currency does not have."""
    places = 4 if exponent is None else exponent
    rounded = amount.quantize(Decimal(1).scaleb(-places))
    if abs(amount - rounded) > _NOISE or (amount != rounded and -int(amount.as_tuple().exponent) <= 6):
        name = currency or "a price"
        raise ValueError(f"{amount} has more decimals than {name} has ({places})")
    return amount if exponent is None and amount == rounded else rounded


_AVAILABILITY: dict[str, Availability] = {
    **dict.fromkeys(
        "instock,available,true,yes,y,instoreonly,onlineonly,limitedavailability,limited,lowstock,active".split(
            ","
        ),
        "in_stock",
    ),
    **dict.fromkeys(
        "outofstock,oos,soldout,unavailable,notavailable,false,no,n,discontinued,outstock,notinstock".split(
            ","
        ),
        "out_of_stock",
    ),
    **dict.fromkeys("preorder,presale,comingsoon,onpreorder".split(","), "preorder"),
    **dict.fromkeys(
        "backorder,onbackorder,availablefororder,backordered,madetoorder".split(","), "backorder"
    ),
}


def parse_availability(text: str) -> Availability:
    """Read 'in stock', 'OutOfStock', 'https://schema.org/PreOrder', 'true' or a stock count."""
    word = text.strip().lower()
    if re.fullmatch(r"[+-]?\d{1,12}(\.0*)?", word):
        return "in_stock" if float(word) > 0 else "out_of_stock"
    word = re.sub(r"[\W_]+", "", re.sub(r"^https?://schema\.org/", "", word))
    if word not in _AVAILABILITY:
        raise ValueError(
            f"unknown availability {text!r}; write in_stock, out_of_stock, preorder, backorder or a count"
        )
    return _AVAILABILITY[word]


_DATE_FORMATS = ("%Y/%m/%d", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%m %d, %Y", "%Y%m%d")


def parse_date(text: str) -> datetime:
    """Read ISO 8601, Unix seconds or milliseconds, RFC 2822 or '5 May 2024'; UTC where no zone is given."""
    text = text.strip()
    try:
        moment = _parse_date(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError, IndexError, TypeError) as error:
        raise ValueError(f"cannot read the date {text!r}; write it like 2024-05-31") from error


def _parse_date(text: str) -> datetime:
    if re.fullmatch(r"\d{9,10}(\.\d*)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    if re.fullmatch(r"\d{12,13}(\.0*)?", text):
        return datetime.fromtimestamp(float(text) / 1000, UTC)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    from email.utils import parsedate_to_datetime  # pulls in a lot for the rarest form

    return parsedate_to_datetime(text)


def html_to_text(source: str) -> str:
    """Drop tags, scripts and styles and decode entities; linear in the length of `source`."""
    return " ".join(html.unescape(" ".join(_visible(source))).split())


def _visible(source: str) -> Iterator[str]:
    hidden = ""
    for part in re.split(r"(<[^<>]*>)", source):
        tag = re.match(r"<(/?)([A-Za-z][A-Za-z0-9]*|!--)", part) if part.endswith(">") else None
        if tag is None and not (part.startswith("<!") and part.endswith(">")):
            if not hidden:
                yield part
        elif tag and hidden:
            hidden = "" if tag[1] and tag[2].lower() == hidden else hidden
        elif tag and not tag[1] and tag[2].lower() in ("script", "style"):
            hidden = tag[2].lower()
