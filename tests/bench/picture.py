"""Line charts as SVG, by the standard library only."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 190, 44, 60
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#e09f3e", "#6a4c93", "#4a4a4a", "#00a6a6", "#a0522d")


def ticks(low, high, logarithmic):
    """Round numbers that cover low to high."""
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        steps = (1,) if last - first > 3 else (1, 2, 5)
        marks = [step * 10 ** power for power in range(first, last + 1) for step in steps]
        below = [mark for mark in marks if mark <= low * 1.0000001]
        above = [mark for mark in marks if mark >= high * 0.9999999]
        return [mark for mark in marks if below[-1] <= mark <= above[0]]
    step = 10 ** math.floor(math.log10(max(high, 1e-9)))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2) if high / (step * part) <= 8)
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def short(number):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"


class Axis:
    def __init__(self, values, logarithmic, start, end):
        self.logarithmic, self.start, self.end = logarithmic, start, end
        self.ticks = ticks(min(values), max(values), logarithmic)
        if len(self.ticks) == 1:
            self.ticks.append(self.ticks[0] * 10)

    def place(self, value):
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def text(x, y, words, anchor="middle", size=12, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>'
            f"{escape(str(words))}</text>")


def line_chart(title, x_label, y_label, series, log_x=False, log_y=False, names=None):
    """The text of an SVG file. `series`: {name: [(x, y)]}, above 0 where logarithmic, in the
    order in which they are joined. `names`: of
    the places 0, 1, 2... on a horizontal axis that has no numbers."""
    series = {name: points for name, points in series.items() if points}
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    y_axis = Axis([y for points in series.values() for _, y in points], log_y, bottom, TOP)
    if names:
        step = (right - LEFT) / max(1, len(names) - 1)
        x_place, x_ticks = (lambda x: LEFT + x * step), list(enumerate(names))
    else:
        x_axis = Axis([x for points in series.values() for x, _ in points], log_x, LEFT, right)
        x_place, x_ticks = x_axis.place, [(tick, short(tick)) for tick in x_axis.ticks]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#222">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           text(LEFT, 24, title, "start", 15, ' font-weight="bold"')]
    for tick, label in x_ticks:
        x = x_place(tick)
        out.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#e3e3e3"/>')
        out.append(text(x, bottom + 18, label))
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e3e3e3"/>')
        out.append(text(LEFT - 8, y + 4, short(tick), "end"))
    out.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#444"/>')
    out.append(text((LEFT + right) / 2, HEIGHT - 16, x_label))
    out.append(text(20, (TOP + bottom) / 2, y_label,
                    more=f' transform="rotate(-90 20 {(TOP + bottom) / 2:.1f})"'))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x_place(x), y_axis.place(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        y = TOP + 12 + 20 * number
        out.append(f'<path d="M{right + 14} {y}h20" stroke="{colour}" stroke-width="3"/>')
        out.append(text(right + 40, y + 4, name, "start"))
    return "\n".join(out) + "\n</svg>\n"
