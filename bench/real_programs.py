"""Programs like those that models write for word problems: PAL, PoT and ToRA style, 66 shapes.

Each shape stands here once, with `$` names for numbers, people and things that a seed chooses. Of the shapes 15 % use
sympy and 5 % numpy. What a program prints is found by running it here.
"""

from __future__ import annotations

import contextlib
import io
import random
import string

from bench.programs import Case

_PEOPLE = (
    "Ann Ben Carla Dmitri Elif Farid Grace Hiro Ines Jamal Kofi Lena Mateo Nia Olga Priya Quinn Rosa Sam Tova".split()
)
_THINGS = "apples marbles books tickets cookies stickers pencils shirts eggs coins roses chairs".split()
SHAPES: tuple[str, ...] = tuple(
    shape.strip()
    for shape in '''
def solution():
    """$name has $a $thing. They buy $b boxes of $thing. Each box has $s $thing. How many $thing do they have now?"""
    ${thing}_initial = $a
    boxes = $b
    ${thing}_per_box = $s
    total = ${thing}_initial + boxes * ${thing}_per_box
    result = total
    return result

print(solution())
=====
def solution():
    """$name had $$$m. They bought $s $thing for $$$b each. How much money is left?"""
    money_initial = $m
    $thing = $s
    price = $b
    money_spent = $thing * price
    money_left = money_initial - money_spent
    return money_left
print(solution())
=====
# $name drives at $a km/h for $s hours and then at $b km/h for $t hours.
speed1 = $a
speed2 = $b
time1 = $s
time2 = $t
distance = speed1 * time1 + speed2 * time2
average_speed = distance / (time1 + time2)
ans = average_speed
print(ans)
=====
total = $m
percent = $p
part = total * percent / 100
ans = round(part, 2)
print(ans)
=====
def compute_total_cost(quantity, unit_price, tax_rate):
    subtotal = quantity * unit_price
    tax = subtotal * tax_rate
    return subtotal + tax

cost = compute_total_cost($a, $price, 0.0$s)
print(f"The total cost is {cost:.2f}")
=====
from fractions import Fraction

def solution():
    # fraction of the tank used on each day
    monday = Fraction(1, $s)
    tuesday = Fraction($t, $a + $t)
    left = 1 - monday - tuesday * (1 - monday)
    return left

print(solution())
=====
import math

def solve():
    """How many buses of $b seats are needed for $m people?"""
    people = $m
    seats = $b
    buses = math.ceil(people / seats)
    return buses

answer = solve()
print(answer)
=====
from datetime import date, timedelta

start = date(20$yy, $month, $day)
end = start + timedelta(days=$m)
print(end.strftime("%m/%d/%Y"))
=====
from datetime import datetime
d1 = datetime.strptime("20$yy-0$digit-1$digit", "%Y-%m-%d")
d2 = datetime.strptime("20$yy-12-2$digit", "%Y-%m-%d")
days = (d2 - d1).days
print(days)
=====
balance = $m
rate = 0.0$s
years = 0
while balance < $m * 2:
    balance = balance * (1 + rate)
    years += 1
print(years)
=====
def solution():
    savings = 0
    weekly = $a
    weeks = 0
    goal = $m
    while savings < goal:
        weeks += 1
        savings += weekly
        if weeks % $s == 0:
            savings -= $t
    result = weeks
    return result

print(solution())
=====
count = 0
for n in range(1, $m + 1):
    if n % $s == 0 or n % $t == 0:
        count += 1
print(count)
=====
from math import gcd
a, b = $m, $b * $s
lcm = a * b // gcd(a, b)
print(f"GCD: {gcd(a, b)}, LCM: {lcm}")
=====
from itertools import combinations
numbers = [$a, $b, $c, $s, $t, $a + $s]
count = 0
for combo in combinations(numbers, 3):
    if sum(combo) % 2 == 0:
        count += 1
print(count)
=====
import itertools
digits = [1, 2, 3, $s]
values = set()
for perm in itertools.permutations(digits, 3):
    number = perm[0] * 100 + perm[1] * 10 + perm[2]
    if number % $t == 0:
        values.add(number)
print(len(values))
=====
from math import comb
total = comb($s + 6, 3)
bad = comb($s + 2, 3)
probability = (total - bad) / total
print(round(probability, 4))
=====
prices = {"$thing": $price, "bread": 2.5, "milk": 1.$digit}
amounts = {"$thing": $s, "bread": $t, "milk": 3}
total = 0
for item, price in prices.items():
    total += price * amounts[item]
print("Total:", round(total, 2))
=====
ages = {"$name": $a, "$name2": $a + $s}
oldest = max(ages, key=ages.get)
difference = max(ages.values()) - min(ages.values())
print(f"{oldest} is {difference} years older")
=====
scores = [$p, $q, $a, $b, $c]
average = sum(scores) / len(scores)
above = [s for s in scores if s > average]
print(len(above))
=====
scores = [$p, $q, $a, $b, $c]
scores.sort(reverse=True)
top_three = scores[:3]
print(sum(top_three) / 3)
=====
class Person:
    def __init__(self, name, money):
        self.name = name
        self.money = money

    def give(self, other, amount):
        self.money -= amount
        other.money += amount

a = Person("$name", $m)
b = Person("$name2", $b)
a.give(b, $c)
print(a.money - b.money)
=====
class BankAccount:
    """An account with interest."""
    def __init__(self, balance: float, rate: float = 0.0$s):
        self.balance = balance
        self.rate = rate

    def add_interest(self) -> None:
        self.balance += self.balance * self.rate

account = BankAccount($m)
for _ in range($t):
    account.add_interest()
print(f"{account.balance:,.2f}")
=====
def is_prime(n):
    if n < 2:
        return False
    for i in range(2, int(n ** 0.5) + 1):
        if n % i == 0:
            return False
    return True

primes = [n for n in range($a, $m) if is_prime(n)]
print(primes[-1], len(primes))
=====
def fib(n):
    if n <= 1:
        return n
    return fib(n - 1) + fib(n - 2)

print(fib($s + 6))
=====
from functools import lru_cache

@lru_cache(maxsize=None)
def ways(n):
    if n == 0:
        return 1
    if n < 0:
        return 0
    return ways(n - 1) + ways(n - 2) + ways(n - 3)

print(ways($a))
=====
def count_ways(amount, coins):
    dp = [0] * (amount + 1)
    dp[0] = 1
    for coin in coins:
        for i in range(coin, amount + 1):
            dp[i] += dp[i - coin]
    return dp[amount]

print(count_ways($p, [1, 5, 10, 25]))
=====
# Solve $s x + $a = $m
for x in range(-1000, 1001):
    if $s * x + $a == $s * $b + $a:
        print(x)
        break
=====
found = False
for x in range(1, 100):
    for y in range(1, 100):
        if x + y == $a + $b and $s * x + $t * y == $s * $a + $t * $b:
            print(f"x = {x}, y = {y}")
            found = True
            break
    if found:
        break
=====
def solution():
    """How many positive divisors does $m have?"""
    n = $m
    divisors = 0
    for i in range(1, n + 1):
        if n % i == 0:
            divisors += 1
    return divisors

if __name__ == "__main__":
    print(solution())
=====
n = $m * $b
digits = [int(d) for d in str(n)]
print(sum(digits))
=====
s = bin($m)[2:]
print(s.count("1"), len(s))
=====
word = "mississippi"
from collections import Counter
from math import factorial
counts = Counter(word)
total = factorial(len(word))
for c in counts.values():
    total //= factorial(c)
print(total * $s)
=====
text = "$name has $a $thing and $name2 has $b $thing"
numbers = [int(w) for w in text.split() if w.isdigit()]
print(sum(numbers))
=====
hours = $m // 60
minutes = $m % 60
print(f"{hours:02d}:{minutes:02d}")
=====
total_seconds = $m * $b
h, rest = divmod(total_seconds, 3600)
m, s = divmod(rest, 60)
print(str(h) + " hours " + str(m) + " minutes " + str(s) + " seconds")
=====
original_price = $m
discount = 0.$s
final_price = original_price * (1 - discount)
tax = final_price * 0.08
print("$$" + format(final_price + tax, ".2f"))
=====
from decimal import Decimal, ROUND_HALF_UP
amount = Decimal("$price") * $a
amount = amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
print(amount)
=====
principal = $m
rate = 5.$digit
time = $s
simple = principal * rate * time / 100
compound = principal * (1 + rate / 100) ** time - principal
print("%.2f" % (compound - simple))
=====
radius = $s
height = $t
import math
volume = math.pi * radius ** 2 * height
surface = 2 * math.pi * radius * (radius + height)
print(round(volume, 2))
print(round(surface, 2))
=====
import math
x1, y1, x2, y2 = $a, $b, $c, $s
distance = math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
print(distance)
=====
import math
a, b, c = 1, -($s + $t), $s * $t
disc = b**2 - 4*a*c
if disc < 0:
    print("no real roots")
else:
    roots = sorted({(-b + math.sqrt(disc)) / (2*a), (-b - math.sqrt(disc)) / (2*a)})
    print(roots)
=====
def snail(height, up, down):
    position = 0
    day = 0
    while True:
        day += 1
        position += up
        if position >= height:
            return day
        position -= down

print(snail($m, $s + $t, $t - 1))
=====
population = $m
history = []
for year in range(1, $s + 1):
    population = int(population * 1.1) - $t
    history.append(population)
print(history[-1])
=====
queue = list(range(1, $a + 1))
index = 0
while len(queue) > 1:
    index = (index + $s - 1) % len(queue)
    queue.pop(index)
print(queue[0])
=====
grid = [[(i * $s + j * $t) % 10 for j in range(5)] for i in range(5)]
diagonal = sum(grid[i][i] for i in range(5))
rows = [sum(row) for row in grid]
print(diagonal, max(rows))
=====
matrix = [[$s, $t], [$a, $b]]
det = matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]
transposed = list(zip(*matrix))
print(det, transposed)
=====
from collections import deque

def shortest(start, goal):
    queue = deque([(start, 0)])
    seen = {start}
    while queue:
        n, steps = queue.popleft()
        if n == goal:
            return steps
        for nxt in (n + 1, n * 2):
            if nxt <= goal and nxt not in seen:
                seen.add(nxt)
                queue.append((nxt, steps + 1))

print(shortest($s, $p))
=====
from collections import defaultdict
groups = defaultdict(list)
for n in range(1, $a + 10):
    groups[n % $s].append(n)
print({k: sum(v) for k, v in sorted(groups.items())})
=====
try:
    ratio = $a / ($s - $s)
except ZeroDivisionError:
    ratio = $a
print(ratio)
=====
months = ["January", "February", "March", "April", "May"]
sales = [$a, $b, $c, $s, $t]
best = months[sales.index(max(sales))]
for month, sale in zip(months, sales):
    print(f"{month:<10}{sale:>6}")
print("Best month:", best)
=====
total = sum(i ** 2 for i in range(1, $a + 1))
square = sum(range(1, $a + 1)) ** 2
print(square - total)
=====
n = $s
result = 1
for i in range(1, n + 20):
    result *= i
zeros = len(str(result)) - len(str(result).rstrip("0"))
print(zeros)
=====
print(pow($s, $m, $b * 10 + 7))
=====
from typing import List

def median(values: List[int]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    mid = n // 2
    return ordered[mid] if n % 2 else (ordered[mid - 1] + ordered[mid]) / 2

print(median([$a, $b, $c, $p]))
=====
from sympy import symbols, Eq, solve

x = symbols('x')
equation = Eq($s * x + $a, $m)
solution = solve(equation, x)
print(solution[0])
=====
import sympy as sp
x, y = sp.symbols('x y')
sol = sp.solve([sp.Eq(x + y, $a + $b), sp.Eq($s * x - $t * y, $s * $a - $t * $b)], (x, y))
print(sol[x], sol[y])
=====
from sympy import symbols, expand, factor
x = symbols('x')
expr = (x + $s) * (x - $t)
print(expand(expr))
=====
from sympy import Rational
p = Rational($s, $m) + Rational($t, $b)
print(p)
=====
from sympy import *
x = symbols('x', real=True)
roots = solve(x**2 - $s*x - $t, x)
print(simplify(sum(roots)))
=====
import sympy
print(sympy.factorint($m))
=====
from sympy import divisors, isprime
print(len(divisors($m)), isprime($p))
=====
from sympy import symbols, diff
x = symbols('x')
f = $s * x**3 - $t * x**2 + $a
print(diff(f, x).subs(x, $t))
=====
from sympy import sqrt, simplify
value = simplify(sqrt($s * $s * $t))
print(value)
=====
def simple_equation():
    from sympy import symbols, solve
    n = symbols('n', positive=True)
    return solve(n * (n + 1) / 2 - $s * ($s + 1) // 2, n)

print(simple_equation())
=====
import numpy as np
scores = np.array([$a, $b, $c, $p])
print(np.mean(scores))
=====
import numpy as np
A = np.array([[$s, 1], [1, $t + 10]])
b = np.array([$a, $b])
x = np.linalg.solve(A, b)
print(round(float(x[0]), 4))
=====
import numpy as np
values = np.arange(1, $a + 1)
print(int(np.sum(values[values % $s == 0])))
'''.split("=====")
)


def real(n: int = 300, seed: int = 0) -> list[Case]:
    """`n` programs, shape by shape."""
    r = random.Random(seed)
    return [_case(i, SHAPES[i % len(SHAPES)], r) for i in range(n)]


def _case(i: int, shape: str, r: random.Random) -> Case:
    name, name2 = r.sample(_PEOPLE, 2)
    values: dict[str, object] = {"name": name, "name2": name2, "thing": r.choice(_THINGS)}
    values |= {letter: r.randint(11, 60) for letter in "abc"} | {letter: r.randint(2, 9) for letter in "st"}
    values |= {letter: r.randint(10, 95) for letter in "pq"} | {"m": r.randint(120, 900), "digit": r.randint(1, 8)}
    values |= {"yy": r.randint(10, 29), "month": r.randint(1, 12), "day": r.randint(1, 28)}
    values["price"] = f"{r.randint(1, 30)}.{r.randint(1, 19) * 5:02d}"
    source = string.Template(shape).substitute(values)
    kind = "sympy" if "sympy" in shape else "numpy" if "numpy" in shape else "plain"
    return Case(f"real-{i}", kind, source, "ok", printed(source))


def printed(source: str) -> str:
    """What a program of ours prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, "<program>", "exec", dont_inherit=True), {"__name__": "__main__"})
    return out.getvalue()
