"""Pairs of answers by the kinds of docs/grading.md: what is the same, what is not, and what stays undecided.

A line is `gold ~ answer`; each pair is tried both ways round.
"""

from collections.abc import Iterator

SAME_BY_KIND = {
    "values joined otherwise": r"""
        1 and 2 ~ 1 or 2
        x = 1 or x = 2 ~ 1 and 2
        A and C ~ C and A
    """,
    "several units": r"""
        5 feet 2 inches ~ 5 ft 2 in
        5 feet and 2 inches ~ 5 feet, 2 inches
        1 hour 30 minutes ~ 1 hour and 30 minutes
        2 hours, 5 minutes, and 3 seconds ~ 2 h 5 min 3 s
    """,
    "remainders": r"""
        4 R 1 ~ 4 remainder 1
        4 R1 ~ 4 with a remainder of 1
        4, remainder 1 ~ 4 r 1
    """,
    "ratios in words": r"""
        1:2 ~ 1 to 2
        1:2 ~ 2 to 4
        12:30 ~ 12 to 30
    """,
    "choose": r"""
        {5 \choose 2} ~ 10
        \binom{n}{2} ~ {n \choose 2}
    """,
    "braces alone": r"""
        \{1, 2\} ~ {2, 1}
        1, 2 ~ {2,1}
        x \in {1, 2} ~ \{2,1\}
        \{3, 1/2\} ~ {\frac12, 3}
        \{(3,4),(1,2)\} ~ {(1,2),(3,4)}
        $\{1,2\}$ ~ {1,2}
        $(1,3)$ ~ ${1,3}$
    """,
    "only points are not defined": r"""
        x ~ x^2/x
        1 ~ x/x
        x+1 ~ (x^2-1)/(x-1)
    """,
    "noise": r"""
        1 ~ 0.9999999999999999
        1 ~ 1.0000000000000002
        1 ~ 0.999999999999999
        10 ~ 9.999999999999998
        7 ~ 7.000000000000001
        100 ~ 100.00000000000001
        1.1 ~ 1.1000000000000001
        0.8 ~ 0.7999999999999999
        1e-7 ~ 9.999999999999999e-08
        123456 ~ 123456.00000000001
        1/3 ~ 0.333333
        1/3 ~ 0.3333333333
        1/3 ~ 0.3333333333333333
        2/3 ~ 0.6666666
        2/3 ~ 0.66666666667
        1/7 ~ 0.142857
        1/7 ~ 0.14285714
        22/7 ~ 3.142857142857143
        0.33333333 ~ 0.3333333333333333
        1+i ~ 0.9999999999999999+1j
        x+1 ~ x+0.9999999999999999
        [1, 2] ~ [0.9999999999999999, 2]
    """,
    "units and their case": r"""
        5 mg ~ 5 mg
        5 ~ 5 Mg
        5 Kg ~ 5 kg
        5 KM ~ 5 km
        5 CM ~ 5 cm
        5 MG ~ 5 mg
        5 mL ~ 5 ml
        5 L ~ 5 l
        5 Min ~ 5 min
        5 Miles ~ 5 miles
        5 Hours ~ 5 hours
        5 MHz ~ 5 mhz
        5 MHz ~ 5 megahertz
        5 MW ~ 5 megawatts
        5 mW ~ 5 milliwatts
        5 mV ~ 5 millivolts
        5 Mg ~ 5 megagrams
        5 mg ~ 5 milligrams
        5 Nm ~ 5 Nm
        5 PM ~ 5 pm
        5 ~ 5 left
        5 ~ 5 each
        5 ~ 5 in total
        5 ~ 5 apples left
        5 ~ 5 glasses
        5 ~ 5 buses
    """,
    "tolerance": r"""
        0.3 ~ 0.30000000000000004
        2/3 ~ 0.6666666667
        2/3 ~ 0.666667
        100/3 ~ 33.333333333333336
        3 ~ 2.9999999999999996
        1234.56 ~ 1234.5600000000002
        0.1 ~ 0.09999999999999999
        \pi ~ 3.141592653589793
        2\pi ~ 6.283185307179586
        1e-7 ~ 0.0000001
        7654321 ~ 7654321.0
        1000000.5 ~ 1000000.50
        14285714.29 ~ 14285714.285714285
        1/1024 ~ 0.0009765625
        1/1024 ~ 0.000976563
        0 ~ -0.0
        0 ~ 0.0
        100000 ~ 1e5
        100000 ~ 1e+05
        0.00001 ~ 1e-05
        50 ~ 50\$
        0.5 ~ .5
        7 ~ 7%
        2e5 ~ 200000
        1.5e-10 ~ 0.00000000015
        299792458 ~ 299792458.0
        0.1 ~ 0.10000000000000009
        3.3333333333 ~ 10/3
        3.33333333333333 ~ 3.3333333333333335
        7/3 ~ 2.3333333333333335
        19/7 ~ 2.7142857142857144
        e ~ 2.718281828459045
        e ~ 2.71828
        100 ~ 99.99999999999999
        1000000 ~ 999999.9999999999
        49 ~ 49.00000000000001
        24691340/2 ~ 12345670.0
        2*pi ~ 2\pi
        101_2 ~ 5
        1_000 ~ 1000
        1.23456789e10 ~ 12345678901
    """,
    "labels": r"""
        x = 5 ~ 5
        f(2)=5 ~ 5
        x=1,2 ~ x = 2, 1
        x=1, x=2 ~ x=1,2
        1, 2 ~ x=1,2
        5 ~ V = 5
        y = 0.5x+1 ~ y = \frac{x}{2}+1
        f(x)=2x ~ f(t) = 2t
        P(A)=\frac12 ~ 1/2
        P(A)=\frac12 ~ P(A) = 0.5
        x=1,2 ~ 1, 2
        x=1,2 ~ x=2,1
        x=1 or x=2 ~ x = 1, 2
        (x,y)=(1,2) ~ (1,2)
        a=1, b=2 ~ b=2, a=1
        2x+y=3 ~ 4x+2y=6
        y=2x+1 ~ 2x-y+1=0
        f(2)=5 ~ f(2)=5.0
        f(2) = 5 ~ 5
        x=3 ~ x = 3.0
        x = 2, y = 3 ~ y = 3, x = 2
        x = 2 \text{ or } x = 3 ~ x = 2, 3
        2\times3=6 ~ 6
    """,
    "equations between numbers": r"""
        2+2=4 ~ 4=2+2
        2+2=4 ~ 1+3=4
        2+2=4 ~ 4
        3+4=7 ~ 7=3+4
        10-3=7 ~ 3+4=7
    """,
    "yes and no": r"""
        Yes ~ Yes, it is.
        Yes ~ yes, because the sum is even
        No ~ No, they do not.
        True ~ yes
        Yes, 5 ~ yes, 5
        true ~ True
        False ~ no
        Yes ~ yes
        Yes ~ Yes.
        Yes ~ **Yes**
        No ~ no.
        Yes ~ Yes, since 7 is prime
        Yes ~ Yes, the two are equal
        Yes ~ Yes, Tom has enough money.
        No ~ No, she is wrong
        yes ~ Yes!
        True ~ True.
        True ~ true, because it holds
        True ~ Yes
    """,
    "words that multiply": r"""
        4.6e-24 ~ 4.6\times 10^{-24}
        6.63e-34 ~ 6.63 \times 10^{-34}
        0.3 ~ 3 tenths
        36 ~ 3 dozens
        36 ~ 3 dozen eggs
        -3 ~ 3 below zero
        -3 ~ 3 degrees below zero
        -3 ~ 3°C below zero
        3000000000 ~ $3 bn
        3000000000 ~ 3 billion dollars
        300000 ~ 3 lakh
        30000000 ~ 3 crore
        30000000 ~ 3 crores
        3000 ~ $3k
        3000 ~ 3k
        3000 ~ 3K
        3000000 ~ 3M
        3000000 ~ $3M
        3000000 ~ $3m
        3000000 ~ 3 mil
        30 ~ 3 tens
        300 ~ 3 hundreds
        3000 ~ 3 thousands
        3000 ~ 3 thousand
        60 ~ 3 score
        432 ~ 3 gross
        0.03 ~ 3 hundredths
        0.003 ~ 3 thousandths
        5/16 ~ 5 sixteenths
        3/8 ~ 3\text{ eighths}
        2/5 ~ 2\text{ fifths}
        36 ~ 3\text{ dozen}
        3/2 ~ 3 halves
        3/4 ~ 3 quarters
        3.5 ~ 3 and a half
        9.8 m/s^2 ~ 9.8 meters per second squared
        1/4 ~ a quarter
        2000000 ~ 2 million
        2500000 ~ 2.5 million
        2500000 ~ 2.5M
        2500 ~ $2.5k
        1500000 ~ 1.5 million dollars
        1500000 ~ $1.5 million
        450000 ~ 4.5 lakhs
        24 ~ 2 dozen
        18 ~ 1.5 dozen
        0.7 ~ 7 tenths
        7/12 ~ 7 twelfths
        -10 ~ 10 degrees below zero
        -10 ~ 10 below zero
        60 ~ 60 miles per hour
        15 ~ 15 points
        0.75 ~ 3 fourths
        1/8 ~ 1 eighth
        1/8 ~ an eighth
        0.3 ~ 3 tenths of a mile
        3500 ~ 3.5 thousand
        3500 ~ 3.5k
        1200000 ~ 1.2 mil
        1200000 ~ $1.2 mil
        5000000000 ~ 5bn
        5000000000 ~ $5B
        7000000 ~ $7m
        -7 ~ 7° below zero
        -7 ~ 7 degrees Fahrenheit below zero
        -7 ~ 7\text{ degrees below zero}
    """,
    "units": r"""
        2.75 ~ 2 and 3/4
        18 ~ $18/day
        18 ~ $18 per day
        18 ~ 18 dollars per day
        18 ~ 18 dollars a day
        60 km/h ~ 60 kph
        60 km/h ~ 60 kilometers per hour
        60 mph ~ 60 miles per hour
        60 mph ~ 60 miles/hour
        5 m/s ~ 5 meters per second
        5 m^2 ~ 5 square meters
        5 sq ft ~ 5 square feet
        5 ft^2 ~ 5 square feet
        5 ~ 5 people
        7 ~ 7 red apples
        7 ~ 7 apples left
        25 ~ 25 percent of the students
        100 ~ 100 percent
        3 ~ 3 hours
        3 hours ~ 3 hrs
        3 ~ 3 units
        -10 ~ -10 degrees
        10 ~ 10 degrees above zero
        50 ~ $50.00
        50 ~ \$50
        50 ~ 50 cents
        60 ~ 60 mph
        60 miles per hour ~ 60 mi/h
        60 km per hour ~ 60 km/hr
        5 ~ 5 dollars per day
        15 ~ $15 per hour
        15 ~ \$15/hour
        15 ~ 15 \text{ dollars per hour}
        15 ~ 15\text{ km/h}
        15 m^2 ~ 15 sq m
        15 cm^3 ~ 15 cubic centimeters
        15 ~ 15 square units
        15 ~ 15\text{ units}^2
        15 ~ 15 cm²
        15 ~ 15 m/s
        15 ~ 15 students per class
        15 ~ 15 students in the class
        15 ~ 15 pages a day
        15 ~ 15 minutes late
        15 ~ 15 candies
        15 ~ 15 pieces of candy
        15 ~ 15 gallons of water
        15 ~ 15 boys and girls
        15 ~ 15 total
        15 ~ 15 each
        15 ~ 15 books left
        15 ~ 15 chocolate chip cookies
        15 ~ 15 gumballs.
        15 ~ 15 sq. ft.
        15 ~ 15 lbs
        15 ~ 15 lb.
        15 ~ 15 °C
        15 ~ 15°
        15 ~ 15 degrees Celsius
        15 ~ 15 ways
        18 ~ $18 a day
        18 ~ 18 dollars/day
        18 ~ \$18 \text{ per day}
        18 ~ $18.00/day
        18 dollars ~ $18
        40 ~ 40 mph
        40 ~ 40 mi/hr
        40 ~ 40 km/h.
        40 ~ 40 pairs
        5 ~ 5 tables and chairs
        5 ~ 5 dm
        72 ~ 72 inches tall
        72 ~ 72 beats per minute
        7 ~ 7 m
        7 ~ 7 mm
        7 ~ 7 percent
        -7 ~ 7 degrees under zero
        four-fifths ~ 0.8
        a quarter ~ 0.25
    """,
    "times of day": r"""
        2:5 ~ 2:5
        1:2 ~ 2:4
        3:30 pm ~ 15:30
        3:30 p.m. ~ 3:30 PM
        3 p.m. ~ 3:00 PM
        12:30 ~ 12:30 pm
        3:30 ~ 03:30
        5:00 ~ 5:00 am
        12:30 ~ 12:30
        9:05 ~ 09:05
        9:05 ~ 9:05 am
        14:00 ~ 2 pm
        14:00 ~ 2:00 PM
        14:00 ~ 2 p.m.
        12:00 ~ noon
        3:4 ~ 6:8
        1:3:5 ~ 2:6:10
        2 : 5 ~ 4 : 10
        x = \pm 2 ~ x = 2, -2
        x = \pm 2 ~ \pm 2
        4:20 pm ~ 16:20
        2:3 ~ 4:6
        2:3 ~ 2/3
        3:45 p.m. ~ 3:45 PM
        3 p.m. ~ 3 PM
    """,
    "repeating decimals": r"""
        2/3 ~ 0.\overline{6}
        1/3 ~ 0.\overline{3}
        1/3 ~ 0.\bar{3}
        1/3 ~ .\overline{3}
        1/6 ~ 0.1\overline{6}
        1/3 ~ 0.(3)
        1/7 ~ 0.\overline{142857}
        4/3 ~ 1.\overline{3}
        -1/3 ~ -0.\overline{3}
        1/11 ~ 0.\overline{09}
        0.\overline{3} ~ 0.3333333333333333
        \frac{1}{3} ~ 0.\dot{3}
        1/3 ~ 0.333...
        1/3 ~ 0.\overline3
        0.1\overline{6} ~ 1/6
        1/3 ~ $0.\overline{3}$
        1/3 ~ \boxed{0.\overline{3}}
        1/3 ~ x = 0.\overline{3}
        0.\overline{3} ~ \frac13
        2.1\overline{36} ~ 2.1363636363636363
        0.\overline{9} ~ 1
        \frac{5}{11} ~ 0.\overline{45}
        0.\overline{45} ~ 0.454545454545
        0.\overline{6} ~ 2/3
        0.\bar{6} ~ 0.6666666667
        0.1\bar{6} ~ \frac{1}{6}
        0.\overline{12} ~ \frac{4}{33}
        0.(142857) ~ 1/7
        3.\overline{3} ~ \frac{10}{3}
        3.\overline{3} ~ 3\frac{1}{3}
        -0.\overline{3} ~ -\frac{1}{3}
        0.\overline{3}\% ~ 1/3
        .\bar{6} ~ 2/3
        0.8\overline{3} ~ 5/6
        0.\overline{27} ~ 3/11
        sqrt(3)/3 ~ \frac{\sqrt{3}}{3}
        -1/2 + sqrt(3)*I/2 ~ -\frac12+\frac{\sqrt3}{2}i
    """,
    "what Python prints": r"""
        \frac{2}{3} ~ 0.6666666666666666
        \sqrt{2} ~ 1.4142135623730951
        \frac{100000000}{7} ~ 14285714.285714285
        \frac{2}{5} ~ 2 fifths
        3+4i ~ (3+4j)
        2i ~ 2j
        1-i ~ (1-1j)
        -3+4i ~ (-3+4j)
        3/4 ~ [Fraction(3, 4)]
        3/4 ~ Fraction(3, 4)
        0.75 ~ Decimal('0.75')
        1/2, 3/4 ~ {Fraction(3, 4), Fraction(1, 2)}
        1/2, 3/4 ~ [Fraction(1, 2), Fraction(3, 4)]
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ [[1, 2], [3, 4]]
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ Matrix([[1, 2], [3, 4]])
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} ~ Matrix([[1], [2]])
        1, 2 ~ array([1, 2])
        3.5 ~ np.float64(3.5)
        7 ~ [7]
        7 ~ (7,)
        7 ~ {7}
        \frac{\sqrt{2}}{2} ~ sqrt(2)/2
        \sqrt{2} ~ 2**(1/2)
        \frac{\pi}{4} ~ pi/4
        1, 2 ~ {1, 2}
        \{1, 2\} ~ {1, 2}
        3 ~ {x: 3}
        x = 3 ~ {x: 3}
        x=3, y=4 ~ {x: 3, y: 4}
        (1,2), (3,4) ~ [(1, 2), (3, 4)]
        \infty ~ oo
        -\infty ~ -oo
        \infty ~ inf
        1+2i ~ 1 + 2*I
        (1, 2, 3) ~ [1, 2, 3]
        \{(1,2),(3,4)\} ~ [(1, 2), (3, 4)]
        {1 \over 2} ~ 1/2
        2A_{16} ~ 42
        FF_{16} ~ 255
        1/2 ~ $\frac{1}{2}$ cup
        12 ~ \text{Area} = 12
        x^{2/3} ~ \sqrt[3]{x}^2
        \sinh x ~ \frac{e^x-e^{-x}}{2}
        6.02214076e23 ~ 6.02214076 \times 10^{23}
        x \in \{1,2\} ~ 1, 2
        3+4i ~ 4j+3
        -2i ~ -2j
        -2i ~ (-0-2j)
        1+i ~ (1+1j)
        i, -i ~ [1j, -1j]
        1+2i, 1-2i ~ [(1+2j), (1-2j)]
        \frac12+\frac{\sqrt3}{2}i ~ (0.5+0.8660254037844386j)
        -1 ~ (-1+1.2246467991473532e-16j)
        5 ~ (5+0j)
        3/4 ~ Fraction('3/4')
        -3/4 ~ Fraction(-3, 4)
        (1/2, 3/4) ~ (Fraction(1, 2), Fraction(3, 4))
        2 ~ Fraction(2, 1)
        0.1 ~ Decimal('0.1')
        1/3 ~ Rational(1, 3)
        1, 2, 3 ~ [1, 2, 3]
        \{1,2,3\} ~ {1, 2, 3}
        \{1,2,3\} ~ [1, 2, 3]
        \{1,2,3\} ~ set([1, 2, 3])
        \emptyset ~ set()
        1, 2 ~ [np.float64(1.0), np.float64(2.0)]
        2 ~ np.int64(2)
        x=1, x=-1 ~ [-1, 1]
        x=1, y=2 ~ {x: 1, y: 2}
        (1, 2) ~ {x: 1, y: 2}
        x=\frac12 ~ {x: 1/2}
        2 ~ [2.0]
        2, 3 ~ [2.0, 3.0]
        \frac{1+\sqrt5}{2} ~ 1/2 + sqrt(5)/2
        \frac{1+\sqrt5}{2} ~ 1.618033988749895
        \sqrt{2} ~ [sqrt(2)]
        -\sqrt2, \sqrt2 ~ [-sqrt(2), sqrt(2)]
        \log 2 ~ log(2)
        e^2 ~ exp(2)
        x^2+1 ~ x**2 + 1
        2x ~ 2*x
        \frac{\pi}{3} ~ 1.0471975511965976
        (0, 1) ~ Interval.open(0, 1)
        [0, 1) ~ Interval.Ropen(0, 1)
        10^{20} ~ 1e+20
        10^{20} ~ 100000000000000000000
        \frac{1}{2} ~ {1\over2}
        \frac{1}{2} ~ 1 \over 2
        42 ~ 2A_{16}
        42 ~ 2A_{\text{16}}
        171 ~ AB_{16}
        27 ~ 1B_{16}
        (1+2j) ~ 1+2i
        (1.5-2.5j) ~ 1.5-2.5i
        1j ~ i
        -1j ~ -i
        (-0-1j) ~ -i
        (3.0000000000000004+4j) ~ 3+4i
        (6.123233995736766e-17+1j) ~ i
        [Fraction(1, 2), Fraction(1, 3)] ~ 1/2, 1/3
        (Fraction(1, 2), Fraction(1, 3)) ~ (\frac12, \frac13)
        [Decimal('1.5'), Decimal('2.5')] ~ 1.5, 2.5
        {Fraction(1, 2)} ~ 1/2
        [-7] ~ -7
        [0.5] ~ 1/2
        ['7'] ~ 7
        [7.0] ~ 7
        [(1, 2)] ~ (1,2)
        [[1, 0], [0, 1]] ~ \begin{bmatrix}1&0\\0&1\end{bmatrix}
        [[1, 2]] ~ \begin{pmatrix}1 & 2\end{pmatrix}
        [[1, 2], [3, 4], [5, 6]] ~ \begin{pmatrix}1&2\\3&4\\5&6\end{pmatrix}
        [[Fraction(1, 2), 1], [0, 1]] ~ \begin{pmatrix}1/2&1\\0&1\end{pmatrix}
        ((1, 2), (3, 4)) ~ \begin{pmatrix}1&2\\3&4\end{pmatrix}
        Matrix([[1], [2]]) ~ \begin{pmatrix}1\\2\end{pmatrix}
        Matrix([[sqrt(2), 0], [0, 1]]) ~ \begin{pmatrix}\sqrt2&0\\0&1\end{pmatrix}
        {x: 2, y: -1} ~ (2, -1)
        {x: 2, y: -1} ~ x=2, y=-1
        [(2, -1)] ~ (2, -1)
        {2, 3} ~ \{2, 3\}
        {2, 3} ~ 2, 3
        np.float64(0.3333333333333333) ~ 1/3
        5*sqrt(2) ~ 5\sqrt2
        3*x + 2 ~ 3x+2
        x**2 - 1 ~ (x-1)(x+1)
        2 - 3*I ~ 2-3i
        [-I, I] ~ i, -i
        (-oo, 2) ~ (-\infty, 2)
        Interval(-oo, 2) ~ (-\infty, 2]
        Union(Interval(0, 1), Interval(2, 3)) ~ [0,1] \cup [2,3]
        {3 \over 4} ~ 0.75
        {{3} \over {4}} ~ 3/4
        \frac{1}{2}\\ ~ 1/2
        1F_{16} ~ 31
        B2_{16} ~ 178
        1A_{12} ~ 22
        (2A)_{16} ~ 42
        \text{2A}_{16} ~ 42
        \frac{\pi}{2}\text{ radians} ~ \frac{\pi}{2}
        (2A_{16}, 3) ~ (42, 3)
        \frac{22}{7} ~ 3.142857142
    """,
    "numbers in words": r"""
        7/2 ~ three and a half
        120 ~ one hundred twenty
        120 ~ one hundred and twenty
        2/3 ~ two-thirds
        2/3 ~ two thirds
        1/2 ~ one half
        1/2 ~ half
        1/2 ~ a half
        -3 ~ minus three
        -5 ~ negative 5
        -5 ~ negative five
        12 ~ a dozen
        6 ~ half a dozen
        1200000 ~ one million two hundred thousand
        15 ~ fifteen students
        0.5 ~ half an hour
        3/4 ~ three quarters
        0.05 ~ five hundredths
        two ~ 2
        2 ~ two
        eleven ~ 11
        1/3 ~ one third
        1/3 ~ one-third
        5 1/2 ~ five and a half
        5.5 ~ five and a half hours
        half ~ 1/2
        1/4 ~ one quarter
        3/4 ~ three-fourths
        1001 ~ one thousand one
        1001 ~ one thousand and one
        21 ~ Twenty-one
        99 ~ ninety nine
        250 ~ two hundred fifty
        2500 ~ twenty-five hundred
        1/100 ~ one hundredth
        -1/2 ~ negative one half
        -1/2 ~ minus one-half
        2.5 ~ two point five
        7 ~ seven apples
        12 ~ twelve eggs
        2000000 ~ two million
        24 ~ two dozen
        18 ~ one and a half dozen
        0.07 ~ seven hundredths
        7/24 ~ seven twenty-fourths
        -10 ~ ten degrees below zero
        5 ~ five.
        5 ~ Five apples
        1/8 ~ one eighth
        3/10 ~ three-tenths
        3/10 ~ three tenths of a mile
        -7 ~ minus 7 degrees
        one thousand two hundred ~ 1200
        five hundred ~ 500
        forty-two ~ 42
        two and two thirds ~ 8/3
        one and three quarters ~ 1.75
        three hundred sixty-five days ~ 365
        one hundred twenty dollars ~ 120
    """,
    "dress and hedges": r"""
        3.14 ~ approximately 3.14
        3.14 ~ about 3.14
        3.14 ~ roughly 3.14
        3.14 ~ around $3.14
        1990 ~ the year 1990
        1000 ~ US$1,000
        1000 ~ USD 1,000
        1000 ~ $1,000 USD
        5 ~ 5\\
        42 ~ 0x2a
        5 ~ 0b101
        1234567 ~ 1_234_567
        5 ~ 5 years old
        50 ~ approx. 50
        50 ~ approximately 50 miles
        50 ~ about fifty
        50 ~ around 50
        50 ~ ~50
        50 ~ ≈50
        50 ~ \approx 50
        50 ~ roughly 50 people
        50 ~ exactly 50
        1990 ~ year 1990
        1990 ~ in 1990
        1990 ~ Year 1990
        1990 ~ The year 1990.
        50 ~ US$50
        50 ~ US $50
        50 ~ $50 USD
        50 ~ 50 US dollars
        50 ~ 50 bucks
        50 ~ €50
        50 ~ Rs. 50
        50 ~ ₹50
        50 ~ 50¢
        \frac{x+1}{2} ~ {x+1 \over 2}
        5 ~ 5 \\
        5 ~ $5\\$
        5 ~ 5\\\\
        roughly 12 ~ 12
        approximately $12 ~ 12
        approximately 12% ~ 12
        approx 12 ~ 12
        around 12 miles ~ 12
        circa 1990 ~ 1990
        in the year 1990 ~ 1990
        US$ 1,000.00 ~ 1000
        $1,000 USD ~ 1000
        1000 USD ~ 1000
        1,000 US$ ~ 1000
        3 \over 4 ~ 3/4
        {x \over 2} ~ \frac{x}{2}
        12 \\ ~ 12
    """,
    "formulas where they are defined": r"""
        \frac{x^2-1}{x-1} ~ x+1
        \ln x^3 ~ 3\ln x
    """,
    "formulas and compounds": r"""
        12345678 ~ 12,345,678.00
        \pi ~ \pi radians
        0.5x ~ x/2
        (0.5, 2) ~ (1/2, 2)
        1, 2, 3 ~ (1, 2, 3)
        0.5 ~ 0,5
        x+1 ~ 1+x
        3000 ~ 3,000
        \pi radians ~ \pi
        \frac{x^2}{x} ~ x
        \tan x ~ \frac{\sin x}{\cos x}
    """,
}

OTHER_BY_KIND = {
    "letters joined otherwise": r"""
        p and q ~ p or q
        A and C ~ A or C
        (A), (B) and (C) ~ (A), (B) or (C)
    """,
    "adjectives that contradict": r"""
        5 red apples ~ 5 green apples
        3 large boxes ~ 3 small boxes
    """,
    "decades": r"""
        1990 ~ 1990s
        2010 ~ 2010s
    """,
    "several units": r"""
        1 hour 30 minutes ~ 1 hour 20 minutes
        1 hour 30 minutes ~ 1 hour
        5 feet 2 inches ~ 2 feet 5 inches
        5 ft 2 in ~ 5 m 2 cm
    """,
    "remainders": r"""
        4 R 1 ~ 4 R 2
        4 R 1 ~ 41
        4 R 1 ~ 4.1
    """,
    "ratios in words": r"""
        1:2 ~ 2 to 1
        1:2 ~ 1 to 3
        1 to 2 ~ 1/2
    """,
    "an order against none": r"""
        (1,2) ~ {1,2}
        (1, 2) ~ \{1, 2\}
        (1,2,3) ~ {1,2,3}
        (\frac12, 3) ~ {\frac12, 3}
        \{1,2\} ~ {1,3}
        \{1,2\} ~ {1,2,3}
    """,
    "noise": r"""
        1 ~ 0.9999999999
        1 ~ 1.0000000001
        1 ~ 0.99999
        1 ~ 0.999999
        1 ~ 0.99999999
        1 ~ 0.99999999999999
        7 ~ 7.000000001
        3 ~ 2.999999999999
        100 ~ 99.9999999999
        0.1 ~ 0.10000000001
        0.5 ~ 0.49999999999
        0 ~ 1e-17
        0 ~ 0.0000000001
        1/3 ~ 0.333
        1/3 ~ 0.33333
        1/3 ~ 0.3333334
        1/3 ~ 0.333334
        2/3 ~ 0.6666668
        2/3 ~ 0.6666665
        1/7 ~ 0.142858
        x+1 ~ x+0.9999999999
        1+i ~ 0.9999999999+i
        [1, 2] ~ [0.9999999999, 2]
        (1, 2) ~ (1, 2.0000000001)
        1e10 ~ 9999999999.9
    """,
    "units and their case": r"""
        5 mg ~ 5 Mg
        5mg ~ 5Mg
        5 mW ~ 5 MW
        5 mV ~ 5 MV
        5 mA ~ 5 MA
        5 mJ ~ 5 MJ
        5 mN ~ 5 MN
        5 mPa ~ 5 MPa
        5 mHz ~ 5 MHz
        5 mm ~ 5 Mm
        5 ms ~ 5 Ms
        5 ml ~ 5 ML
        5 ml ~ 5 Ml
        5 meV ~ 5 MeV
        5 Mb ~ 5 MB
        5 nm ~ 5 Nm
        5 mm^2 ~ 5 Mm^2
        5 mg/ml ~ 5 Mg/ml
        5 km/s ~ 5 km/Ms
        \frac12 \text{ mg} ~ \frac12 \text{ Mg}
        5\text{ mg} ~ 5\text{ Mg}
        5 m ~ 5 M
        5 g ~ 5 G
        5 ~ 5 only
        5 ~ 5 apples only
        5 ~ 5 perhaps
        5 ~ 5 always
        5 ~ 5 thanks
        5 ~ 5 others
        5 ~ 5 yes
        5 ~ 5 means
        5 ~ 5 wrong
        5 ~ 5 ok
        1 ~ 1 wrong
        1 ~ 1 maybe
        1 ~ 1 only
        0 ~ 0 possibly
        1 ~ 1 incorrect
        1 ~ 1 instead
        0.5 ~ 0.5 too
    """,
    "tolerance": r"""
        4.6e-24 ~ 4.7e-24
        6.63e-34 ~ 0
        0 ~ 5.551115123125783e-17
        7654321 ~ 7654322.0
        12345678 ~ 12345670.0
        1000000.00 ~ 1000000.99
        2000000 ~ 2000001.5
        100000000 ~ 100000050.0
        1500000 ~ 1500001.0
        2500000.5 ~ 2500000.52
        1000000.1 ~ 1000000.14
        1 ~ 1.000001
        3 ~ 3.0000001
        123456789012345 ~ 123456789012345.6
        1234567890123456 ~ 1234567890123457.0
        1e20 ~ 1.0000001e20
        1e-20 ~ 1.0000001e-20
        1/3 ~ 0.333
        1/3 ~ 0.33333
        \pi ~ 3.14
        1.5 ~ 1.50001
        6.02e23 ~ 6.03e23
        100/3 ~ 33.33
        1/3 ~ 0.3
        2i ~ 2
        5 ~ -5
        -5 ~ 5
        5 ~ 5!
        3^2 ~ 9.0001
        25% ~ 0.26
        3 ~ 3 1/2
        7 ~ 7!
        12345678.9 ~ 12345678
        12345678.0 ~ 12345679
        99999999 ~ 100000000.0
        1000000 ~ 999999.5
        10000000.25 ~ 10000000.5
        10000000.25 ~ 10000000.2
        10000000.25 ~ 10000000.3
        123456.78 ~ 123456.79
        123456789.12 ~ 123456789.1
        1234567.891 ~ 1234567.892
        3.00000001 ~ 3
        1.0000001 ~ 1
        0.1234567 ~ 0.1234568
        6.62607015e-34 ~ 6.62607004e-34
        1.602e-19 ~ 1.603e-19
        1.6e-19 ~ 0
        1e-13 ~ 0
        1e-13 ~ 2e-13
        1e-15 ~ -1e-15
        0.000000000001 ~ 0
        3\times10^{-15} ~ 0
        2.5e-13 ~ 0.0
        1010_2 ~ 1010
        50 ~ 5.0
        1.5e-10 ~ 1.5000001e-10
        299792458 ~ 299792459.0
        299792458 ~ 3e8
        1234567.89 ~ 1234567.88
        0.1 ~ 0.1000001
        1e-12 ~ 1e-13
        8.854e-12 ~ 8.855e-12
        8.854e-12 ~ 0
        6.674e-11 ~ 0.0
        7/3 ~ 2.33
        100 ~ 99.9999
        101_2 ~ 101
    """,
    "labels": r"""
        P(A)=1/2 ~ P(B)=1/2
        x=1,2 ~ y=1,2
        x=1, x=2 ~ y=1, y=2
        g(x)=5 ~ f(x)=5
        f(x)=x^2 ~ g(x)=x^2
        AB=5 ~ CD=5
        AB=5 ~ AC=5
        \angle A = 30 ~ \angle B = 30
        E(X)=3 ~ E(Y)=3
        x=5 ~ y=5
        x=5 ~ z=5
        Area = 12 ~ x = 12
        x=x ~ y=y
        x=x+1 ~ x=x+2
        x=5 ~ x=5, y=7
        f(1)=2, f(2)=3 ~ f(1)=3, f(2)=2
        f(0)=1 ~ f(1)=1
        f(x)=5 ~ f(y)=5
        f(a)=5 ~ f(b)=5
        P(X=1)=0.5 ~ P(X=2)=0.5
        P(A|B)=0.5 ~ P(B|A)=0.5
        P(A \cap B) = 0.5 ~ P(A \cup B) = 0.5
        E[X]=3 ~ E[Y]=3
        \mu = 3 ~ \sigma = 3
        x'=5 ~ x=5
        x=1,2,3 ~ y=1,2,3
        x=1, 2 ~ y=2, 1
        x > 5 ~ y > 5
        a=1, b=2 ~ b=1, a=2
        a=1, b=2 ~ c=1, d=2
        a=1, b=2 ~ a=1, c=2
        n=5 ~ k=5
        BC=12 ~ AB=12
        \angle ABC=60 ~ \angle BCD=60
        $x = 5$ ~ $y = 5$
        \(x = 5\) ~ \(y = 5\)
        Length = 5 ~ Width = 5
        h(x)=3 ~ k(x)=3
        f'(2) = 5 ~ f(2) = 5
        f^{-1}(2) = 5 ~ f(2) = 5
        P(A \mid B) = 1/2 ~ P(B \mid A) = 1/2
        x = 2, y = 3 ~ x = 3, y = 2
        x = 2 and x = 3 ~ y = 2 and y = 3
        Area = 12 cm ~ Perimeter = 12 cm
        S_5 = 10 ~ S_6 = 10
        \triangle ABC = 12 ~ \triangle ABD = 12
        AB:BC = 1:2 ~ AC:BC = 1:2
    """,
    "equations between numbers": r"""
        2+2=4 ~ 3+3=6
        1+1=2 ~ 5=5
        1=2 ~ 3=4
        1+1=3 ~ 2+2=5
        2<3 ~ 3<4
        1>0 ~ 2>1
        0=0 ~ 1=1
        0=1 ~ 0=2
        1+2=3 ~ 2+3=5
        1+2=3 ~ 7=7
        3=3 ~ 4=4
        1+2=4 ~ 2+3=6
        5=6 ~ 7=8
        5>3 ~ 7>2
        \frac12+\frac12=1 ~ 2=2
        2 \ne 3 ~ 4 \ne 5
        1 \le 2 ~ 3 \le 4
        3\cdot 4=12 ~ 3\cdot 4=13
        3+4=7 ~ 3\cdot4=12
        10-3=8 ~ 3+4=9
    """,
    "yes and no": r"""
        Yes, 5 ~ Yes, 7
        Yes, x=2 ~ Yes, x=3
        Yes ~ Yes, 5
        True ~ True, False
        Yes ~ Yes, but only if x > 0
        Yes ~ No, yes is wrong
        yes ~ Yes or no
        True, False ~ True, True
        Yes, 5 ~ Yes
        No ~ No, 5
        Yes, 12 ~ Yes, 13
        Yes, it is 12 ~ Yes, it is 13
        Yes; 4 ~ Yes; 5
        No, 3 ~ No, 4
        True, 3 ~ True, 5
        Yes, x = 2 ~ Yes, y = 2
        Yes ~ Yes, no
        Yes ~ Yes and no
        Yes ~ Yes, except for 2
        Yes ~ Yes, if x is even
        False, because 2 ~ True
        Yes, Alice ~ Yes, Bob
        No, Alice ~ No
        True, True ~ True, False
        True ~ 1
        Yes, 4 of them ~ Yes, 5 of them
        Yes, at 3 ~ Yes, at 4
        Yes: 4 ~ Yes: 5
        Yes. x=4 ~ Yes. x=5
        No; 12 ~ No; 13
        False ~ False, True
        Yes ~ Yes, 42
    """,
    "words that multiply": r"""
        3 ~ 3 tenths
        3 ~ 3 dozens
        3 ~ 3 dozen
        3 ~ 3M
        3 ~ 3 M
        3 ~ 3 mil
        3 ~ 3 lakh
        3 ~ 3 crore
        3 ~ 3 below zero
        3 ~ 3 degrees below zero
        3 ~ $3 bn
        3 ~ 3k
        3 ~ 3K
        3 ~ 3 K
        3 ~ 3 hundred
        3 ~ 3 hundreds
        3 ~ 3 tens
        3 ~ 3 score
        3 ~ 3 gross
        3 ~ 3 fifths
        3 ~ 3\text{ fifths}
        3 ~ 3\text{ dozen}
        3 ~ 3 quarters
        3 ~ 3 halves
        3 ~ 3 thirds
        3 ~ 3 half
        3 ~ 3 squared
        3 ~ 3 cubed
        3 ~ 3 myriad
        3 ~ 3 zillion
        3 ~ 3 grand
        3 ~ 3 million dollars
        3 ~ $3B
        3 ~ $3m
        3 ~ 3 twentieths
        3 ~ 3 over 4
        3 ~ 3 out of 4
        3 ~ 3 times
        3 ~ 3 fold
        3 ~ threefold
        3 ~ 3 short
        3 ~ 3 less
        3 ~ 3 fewer
        3 ~ 3 or more
        3 ~ 3 to 5
        5 ~ 5 fifth graders
        1 ~ 5 fifth graders
        3 ~ 3 third graders
        3 ~ 3 G
        3 ~ 3 MM
        3 ~ $3 M
        3 ~ $3K
        3 ~ $3T
        3 ~ 3 bn
        3 ~ 3bn
        3 ~ 3 billion
        3 ~ 3 thousand dollars
        3 ~ 3 hundred thousand
        3 ~ 3 ten-thousandths
        3 ~ 3 hundred-thousandths
        3 ~ 3 ninths
        3 ~ 3 millionths
        3 ~ 3 elevenths
        3 ~ 3/tenths
        3 ~ 3-tenths
        3 ~ 3 sixty-fourths
        3 ~ 3 degrees below freezing
        3 ~ 3 meters below sea level
        3 ~ 3 under par
        3 ~ 3 in the red
        3 ~ 3 minus
        3 ~ 3 less than zero
        3 ~ 3 negative
        3 ~ 3 percent off
        3 ~ 3 to the power of 2
        3 ~ 3 point 5
        3 ~ 3 plus 2
        3 ~ 3 times 10^8
        3 ~ 3 times as many
        3 ~ 3 and three quarters
        3 ~ 3 half-dozens
        3 ~ 3 half dozen
        3 ~ 3 baker's dozen
        3 ~ 3 arab
        3 ~ 3 million people
        3 ~ 3\text{ million}
        3 ~ 3\text{ tenths}
        3 ~ 3\text{ hundred}
        3 ~ 3 \text{ below zero}
        3\times10^{-15} ~ 4\times10^{-15}
        1/2 ~ 1/2 dozen
        1.2 ~ $1.2 mil
        5 ~ $5B
        7 ~ 7° below zero
    """,
    "units": r"""
        3 ~ 3 factorial
        5 miles per hour ~ 5 km per hour
        5 miles per hour ~ 5 dollars per day
        5 miles per hour ~ 5 miles
        60 km/h ~ 60 km/s
        60 km/h ~ 60 m/h
        60 mph ~ 60 kph
        5 dollars per hour ~ 5 dollars per day
        $18/day ~ $18/week
        5 m^2 ~ 5 m^3
        5 square meters ~ 5 square feet
        5 cubic feet ~ 5 square feet
        5 hours ~ 5 minutes
        5 apples ~ 5 oranges
        $5 ~ 5 cents
        5 km ~ 5 miles
        5 miles north ~ 5 miles south
        5 kg ~ 5 lb
        5 ~ 5 or 6
        5 ~ 5 and 7
        5 apples ~ 5 apples and 3 oranges
        2 ~ 2pi
        5 hours ~ 5 hours 30 minutes
        5 ~ 5 hours 30 minutes
        $5 ~ $5.50
        1 hour ~ 60
        60 minutes ~ 1 hour
        first ~ 1
        5 ~ 5th grader
        5 m/s ~ 5 m
        5 m/s ~ 5 km/h
        5 m/s ~ 5 m/s^2
        5 m/s ~ 5 s/m
        5 miles/gallon ~ 5 miles/hour
        5 mpg ~ 5 mph
        5 dollars per hour ~ 5 euros per hour
        5 dollars per pound ~ 5 dollars per ounce
        5 students per class ~ 5 students per teacher
        5 people per km ~ 5 people per mile
        $5 per day ~ $5 per hour
        $5/day ~ 5/day hours
        5 kg/m^3 ~ 5 kg/m^2
        5 miles ~ 5 square miles
        5 square cm ~ 5 square inches
        5 N ~ 5 J
        5 °C ~ 5 °F
        5 degrees Celsius ~ 5 degrees Fahrenheit
        5 dollars ~ 5 cents
        5 weeks ~ 5 days
        50 ~ 50 or so many
        1 hour ~ 1 minute
        40 km/h ~ 40 m/s
        72 beats per minute ~ 72 beats per hour
        Area: 12 ~ Perimeter: 12
    """,
    "times of day": r"""
        5 am ~ 5 pm
        12:30 ~ 2:5
        2:5 ~ 12:30
        12:30 ~ 12/30
        12:30 ~ 0.4
        0.4 ~ 12:30
        10:05 ~ 2:1
        2:1 ~ 10:05
        4:20 ~ 1:5
        1:5 ~ 4:20
        10:50 ~ 1/5
        12:00 ~ 1:00
        12:30 ~ 12.5
        3:30 am ~ 3:30 pm
        12:30 am ~ 12:30 pm
        3 pm ~ 3 am
        3 pm ~ 15
        9:15 ~ 3:5
        12:30 ~ 1:30
        12:30 ~ 12:03
        12:30 ~ 12
        12:30 ~ 1230
        4:05 ~ 4:50
        4:05 ~ 4/5
        6:15 ~ 2:5
        6:15 am ~ 6:15 pm
        7:00 ~ 7
        7:00 ~ 7:1
        8:00 ~ 4:0
        1:60 ~ 2:00
        0:30 ~ 0
        x = \pm 2 ~ y = \pm 2
        4:20 pm ~ 4:20 am
        4:20 ~ 4/20
        4:20 ~ 0.2
        16:20 ~ 4:5
        11:59 ~ 11.59
        1:30 ~ 90
        1:30 ~ 1.5
        2:3 ~ 3:2
        8:12 ~ 2:3
    """,
    "repeating decimals": r"""
        f(2)=5 ~ f(3)=5
        1/3 ~ 0.\overline{6}
        0.\overline{3} ~ 0.3
        0.\overline{3} ~ 0.333
        0.1\overline{6} ~ 0.1\overline{7}
        0.\overline{12} ~ 0.\overline{21}
        0.(3) ~ 0.3
        0.333... ~ 0.333
        0.1\overline{6} ~ 0.6
        \overline{AB} ~ AB+1
        0.\overline{3} ~ 0.33
        0.\overline{3} ~ 3
        0.\overline{36} ~ 0.36
        0.\overline{36} ~ 0.\overline{3}6
        0.1\overline{6} ~ 0.\overline{16}
        0.\overline{9} ~ 0.9
        0.\overline{9} ~ 0.999
        \overline{3} ~ 1/3
        \bar{x} ~ x_1
        \overline{z}=3 ~ z=4
        12\overline{3} ~ 123
        g(2) = 5 ~ g(3) = 5
    """,
    "what Python prints": r"""
        \sqrt{2} ~ 1.4142
        3+4i ~ (3-4j)
        3+4i ~ (4+3j)
        3i+4j ~ 3i+4i
        3j ~ 3
        3/4 ~ Fraction(4, 3)
        3/4 ~ [Fraction(3, 4), Fraction(1, 2)]
        1/2, 3/4 ~ {Fraction(3, 4)}
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ [[1, 3], [2, 4]]
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ [[1, 2], [3, 5]]
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} ~ [1, 2, 3, 4]
        7 ~ [7, 7.5]
        7 ~ []
        7 ~ [8]
        x ~ [x]
        (1, 2, 3) ~ [3, 2, 1]
        (1,2) ~ [2, 1]
        (0,1) ~ [0, 1]
        [0, 1] ~ (0, 1)
        (1,2), (3,4) ~ [(2, 1), (3, 4)]
        3 ~ {x: 4}
        x = 3 ~ {y: 3}
        x=3, y=4 ~ {x: 4, y: 3}
        \infty ~ -oo
        {1 \over 2} ~ 2
        2A_{16} ~ 2A
        2A_{16} ~ 2B_{16}
        FF_{16} ~ FE_{16}
        A_{12} ~ 10
        \sqrt{x^2} ~ x
        45^\circ ~ \frac{\pi}{4}
        3 ~ 3\text{M}
        3 ~ 3\,\text{k}
        \frac{2}{3} ~ \frac{2}{3}\text{ dozen}
        \sqrt{2} ~ \sqrt{2}\text{ million}
        \sqrt{2} ~ -\sqrt{2}
        x \in \{1,2\} ~ y \in \{1,2\}
        **x = 5** ~ **y = 5**
        [Fraction(3, 4)] ~ 3
        Fraction(3, 4) ~ 3, 4
        Fraction(3, 4) ~ (3, 4)
        (3+4j) ~ 7
        (3+4j) ~ 3-4i
        2j ~ 2
        [1, 2] ~ 12
        [[1, 2], [3, 4]] ~ 1,2,3,4
        [[1, 2], [3, 4]] ~ [[1, 2], [4, 3]]
        [7] ~ 77
        [1, 2, 3] ~ [1, 2]
        {x: 3} ~ {y: 3}
        [{x: 1}, {x: 2}] ~ x = 1
        array([1, 2]) ~ array([2, 1, 3])
        None ~ 0
        nan ~ 0
        oo ~ 0
        1e400 ~ oo
        inf ~ -inf
        [] ~ 0
        set() ~ 0
        2A_{16} ~ 2A_{17}
        10_{16} ~ 10
        \frac12 ~ {2 \over 1}
        \sqrt{x^2} ~ -x
        P(\text{red}) = 1/2 ~ P(\text{blue}) = 1/2
        \text{Area} = 12 ~ \text{Perimeter} = 12
        a_{10}=5 ~ a_{11}=5
        [(1, 2)] ~ (2,1)
        [[1, 2], [3, 4]] ~ \begin{pmatrix}1&3\\2&4\end{pmatrix}
        1F_{16} ~ 1F
    """,
    "numbers in words": r"""
        3 ~ three and a half
        3 ~ minus three
        3 ~ negative 3
        3 ~ three tenths
        3 ~ three dozen
        120 ~ one hundred and two
        120 ~ one hundred twenty-one
        2/3 ~ three halves
        2/3 ~ two
        1/2 ~ one and a half
        100 ~ one hundred twenty
        2 ~ two hundred
        20 ~ twenty-fourths
        5 ~ twenty fourths + 1
        3 ~ three thousand
        one hundred ~ one thousand
        one hundred twenty ~ 102
        two-thirds ~ 3/2
        one half ~ 2
        three and a half ~ 3
        twenty-one ~ 20
        thirty seconds ~ 15
        thirty-second ~ 32
        one thirty-second ~ 1/3
        seventeen hundred ~ 17
        negative five ~ 5
        minus three ~ 3
        half ~ 1
        half ~ 2
        a dozen ~ 1
        a hundred ~ 1
        ten thousand ~ 10
        five sixths ~ 5
        one third ~ 3
        one and one half ~ 1
        1 dozen ~ 1
        12 dozen ~ 12
        8 ~ one eighth
        one hundred twenty ~ 100
        seven hundredths ~ 700
    """,
    "dress and hedges": r"""
        2000000x ~ 2000001.5x
        y = 2000000x ~ y = 2000001.5x
        a_1=3 ~ a_2=3
        $5 ~ €5
        3.14 ~ approximately 3.1
        5 ~ at least 5
        5 ~ less than 5
        5 ~ almost 5
        5 ~ nearly 5
        5 ~ not 5
        5 ~ over 5
        1990 ~ 1991
        1990 ~ the 1990s
        1000 ~ US$100
        42 ~ 0x42
        101 ~ 0b101
        1234567 ~ 1_234_568
        x_1=5 ~ x_2=5
        50 ~ US$500
        50 ~ A$55
        $50 ~ A$50
        US$50 ~ C$50
        1990 ~ 90
        1990 ~ year 199
        50 ~ about 51
        50 ~ about 50 or 51
        50 ~ about 50 to 60
        50 ~ no more than 50
        50 ~ at most 50
        50 ~ up to 50
        50 ~ over 50
        50 ~ more than 50
        50 ~ between 40 and 60
        50 ~ 50+
        50 ~ >50
        50 ~ 50-60
        50 ~ 50 - 60
        50 ~ 50 ± 1
        x \approx 3.14 ~ y \approx 3.14
        about 12 ~ 13
        year 1990 ~ 1991
    """,
    "formulas where they are defined": r"""
        |x|=5 ~ |y|=5
        |x| ~ x
        \frac{x^2-1}{x-1} ~ x-1
        \ln x^2 ~ \ln x
        \frac{x^2-4}{x-2} ~ x-2
        |x-1| ~ x-1
        x^2 ~ |x|^3
    """,
    "formulas and compounds": r"""
        5 ~ 5, 7
        (1,2) ~ (1,2,3)
        5 ~ 5x
        5 ~ 5 x
        1000 ~ 1,000,000
        B ~ (C)
        3 ~ 3 x 10^8
        1000 ~ 1,00
        x: 5 ~ y: 5
    """,
}

UNDECIDED_BY_KIND = {
    "a half-open interval and a set": r"""
        [1, 2) ~ {1, 2}
    """,
    "what Python prints": r"""
        \log(x^2) ~ 2\log x
        x ~ \sqrt{x}^2
        \log(x^2) ~ 2\log(x)
        \sqrt{x}\sqrt{y} ~ \sqrt{xy}
        (\sqrt{x})^2 ~ x
    """,
    "formulas where they are defined": r"""
        \ln x^2 ~ 2\ln x
        \ln(xy) ~ \ln x + \ln y
        \ln(x/y) ~ \ln x - \ln y
    """,
}


def rows(kinds: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Gold answer, answer and kind of each line."""
    for kind, lines in kinds.items():
        for line in lines.strip().splitlines():
            gold, answer = line.strip().split(" ~ ")
            yield gold, answer, kind
