"""Short product reviews written for Edgeyard (MIT, like the rest): training text beside the film reviews of SST-2.

They bring the words of shops (buy, refund, broke, delivery) and plain neutral statements, which critics do not use.
"""

from __future__ import annotations

from itertools import product

__all__ = ["NEGATIVE", "NEUTRAL", "POSITIVE"]

_THINGS = ("product", "item", "kettle", "phone", "camera", "thing", "speaker", "lamp", "toaster", "app")

_GOOD = (
    "amazing",
    "awesome",
    "beautiful",
    "brilliant",
    "excellent",
    "fabulous",
    "fantastic",
    "flawless",
    "good",
    "great",
    "impressive",
    "incredible",
    "lovely",
    "magnificent",
    "marvellous",
    "outstanding",
    "perfect",
    "reliable",
    "solid",
    "splendid",
    "stunning",
    "superb",
    "terrific",
    "wonderful",
)
_BAD = (
    "abysmal",
    "annoying",
    "appalling",
    "awful",
    "bad",
    "broken",
    "cheap",
    "defective",
    "dreadful",
    "faulty",
    "flimsy",
    "horrible",
    "horrid",
    "lousy",
    "pathetic",
    "poor",
    "rubbish",
    "shoddy",
    "terrible",
    "unreliable",
    "unusable",
    "useless",
    "worthless",
    "wretched",
)
_LOVE = ("love", "adore", "really like", "really love", "enjoy", "absolutely love", "am delighted with", "recommend")
_HATE = (
    "hate",
    "despise",
    "loathe",
    "detest",
    "really hate",
    "really dislike",
    "regret buying",
    "can't stand",
    "returned",
)

_GOOD_PATTERNS = (
    "This {thing} is {word}.",
    "It is {word}, I am so happy with it!",
    "What a {word} {thing}, works like a charm.",
    "Absolutely {word}.",
    "Simply {word} quality.",
    "{word} {thing}, five stars",
    "not bad at all, really {word}",
)
_BAD_PATTERNS = (
    "This {thing} is {word}.",
    "It is {word}, I am so disappointed!",
    "What a {word} {thing}, a waste of money.",
    "Absolutely {word}.",
    "Simply {word} quality.",
    "{word} {thing}, one star",
    "not good at all, really {word}",
)

_GOOD_LINES = """Works perfectly, just as described.
Would buy again without a second thought.
Highly recommended!
I recommend it to everyone.
Best purchase I have made this year.
My whole family loves it.
Arrived early and works great.
Exceeded my expectations in every way.
Great value for the money.
So easy to use, I love it.
Five stars from me, well done!
Exactly what I wanted, thank you.
The staff were friendly and helpful.
Couldn't be happier.
Very pleased with the quality.
I was sceptical but it is a joy to use.
Fast delivery and a perfect fit.
Sturdy, quiet and well made.
The battery lasts for days, brilliant.
Customer service solved my problem at once.
It just works.
Happy customer here!
A pleasure to use every day.
You will not regret buying it.
No complaints at all.
Never had a problem with it.
Thank you so much, it's perfect!
Delicious, fresh and warm.
Clean room, comfortable bed, kind people.
I use it every day and it still looks new.
The best one I ever had.
This is the best of them all!
Best day of my life.
We had a great time.
Such a lovely day, thanks!
I am so happy.
I like it a lot.
Very good indeed.
Great job!
It was a pleasure, we will come back.
Everything was excellent from start to finish."""

_BAD_LINES = """Do not buy this.
DO NOT BUY!
Don't buy it, save your money.
Do not waste your money on this.
Stay away from this seller.
Avoid at all costs!
It broke after two days.
Stopped working within a week.
I want my money back.
Asked for a refund and got no answer.
Total waste of money.
The worst purchase I have ever made.
Arrived damaged and late.
It does not work at all.
Doesn't work, sent it back.
Never again.
Never buying from this shop again.
I would not recommend it to anyone.
Not worth the price.
Not as described, very disappointed.
Customer service was rude and useless.
Overpriced junk.
A complete scam.
The battery dies within an hour.
It smells of burnt plastic and gets too hot.
Falls apart in your hands.
I am very unhappy with it.
Zero stars if I could.
Cold food, rude waiter, dirty table.
It leaks, it rattles and nobody answers the phone.
The worst one I ever had.
This is the worst of them all!
Worst day of my life.
We had an awful time.
I am so angry.
I do not like it.
Not good.
It was no good.
Bad, bad, bad.
It hurts my hands and the smell makes me sick.
Everything was wrong from start to finish."""

_NEUTRAL_LINES = """The parcel arrived on Tuesday.
It comes in a blue box.
The manual has twelve pages.
There are two buttons on the side.
The cable is one metre long.
I ordered the medium size.
It needs three AA batteries.
The product weighs 300 grams.
My order number is 48213.
The shop opens at nine.
It was delivered to my neighbour.
The screen is five inches wide.
I bought this for my office.
The lid is made of plastic.
The meeting is at ten in room four.
The temperature in the hall is 21 degrees.
The train to the city leaves at noon.
This is a kettle.
It is a phone with a camera.
The package contains a lamp and a plug.
Please see the second page of the invoice.
The device was installed in March.
The colour is grey.
I have not opened the box yet.
We received it today.
The sensor is on the second floor.
It takes 230 volts.
The next delivery is on Friday.
He put the item on the table.
The report covers the first quarter.
Do you have this in size 42?
Is the charger included?
This is the product.
I have this product.
It is an item from the shop.
I will buy milk and bread.
The phone is on the desk.
What is the price of the lamp?
You can buy it in two colours.
I really do not know.
The first lesson starts at eight o'clock.
It opens on Monday at 10 o'clock.
The box is on the shelf in the hall.
The door is white.
The bag is green and the strap is black.
The meeting on Wednesday was moved to Thursday.
A letter came in the morning.
It is what it is, nothing more.
It was okay, nothing special.
It does what it says, no more and no less.
Neither good nor bad.
Average.
The office is closed on Sunday.
There is a table in the kitchen.
She works in the city."""


def _filled(patterns: tuple[str, ...], words: tuple[str, ...]) -> list[str]:
    return [
        pattern.format(word=word, thing=_THINGS[(index + offset) % len(_THINGS)])
        for offset, pattern in enumerate(patterns)
        for index, word in enumerate(words)
    ]


def _said(verbs: tuple[str, ...]) -> list[str]:
    return [f"I {verb} this {thing}" for verb, thing in product(verbs, _THINGS[:6])]


POSITIVE = [*_filled(_GOOD_PATTERNS, _GOOD), *_said(_LOVE), *_GOOD_LINES.splitlines()]
NEGATIVE = [*_filled(_BAD_PATTERNS, _BAD), *_said(_HATE), *_BAD_LINES.splitlines()]
NEUTRAL = _NEUTRAL_LINES.splitlines()
