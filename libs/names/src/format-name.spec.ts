import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { NameOptions } from './field.js';
import { formatName } from './format-name.js';
import { CONTACT_CASES, NAME_CASES, PORTAL_CASES } from '../test/format-name.cases.js';

const allCases = PORTAL_CASES.concat([[{}, NAME_CASES]]).flatMap(([given, cases]) =>
  cases.map((nameCase) => [...nameCase, given] as const),
);

/** Letters that behave oddly in one way or another, and what stands between them. */
const characters = Array.from(
  [
    `aAzZiIoOdDlLmMnNcCrRsSvV'’ʼ-‐. ,()`,
    '\u00A0\u3000\t\u200B\u200C\u200D\uFEFF\u00AD\u0000\u0307\u0301\u0345',
    'ßẞŉﬁﬀİıſµªǄǅǆǉǲǰẖΐᾳᾼℵΣσςάΆϊяЯіІєвдДоОაᲐᏣꮳꭰաԱևعلیकषमന്王明',
  ].join(''),
);
/** What the rules look for. */
const pieces = [
  `van Van DER d' O' dell' Mc MC mc Ii III jr Jr. e y al bin de оглы o'g'li hE IJs`,
  `John jOHN SMith McDonald deVito LeBron Мар'Яна д'А İS i̇ - . ' ,`,
  `ı I İ ij IJ iJ ijs Ijs IJA ıı Iİ iSı WI xİ qı dı Dİ BIN qızı 't De Van`,
]
  .flatMap((line) => line.split(' '))
  .concat(' ', ' ', ' ');
const names = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(...characters), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(...pieces), maxLength: 9 }),
  fc.string({ unit: fc.constantFrom(...pieces, ...characters), maxLength: 12 }),
  fc.mixedCase(fc.constantFrom(...allCases.map(([input]) => input))),
);
const everyOption: NameOptions[] = [undefined, 'tr', 'az', 'nl'].flatMap((language) =>
  (['lower', 'capital'] as const).flatMap((particles) =>
    (['asWritten', 'capital'] as const).map((firstWord) => ({ language, particles, firstWord })),
  ),
);
const options = fc.constantFrom(...everyOption);
/** Where the field's start is as it was written. */
const optionsAsWritten = fc.constantFrom(...everyOption.filter(({ firstWord }) => firstWord === 'asWritten'));
const numRuns = Number(process.env['NUM_RUNS'] ?? 2_000);

/** A custom of writing names: each part is written by its own list, and the lists make a field. */
interface Custom {
  given: string[];
  particle: string[];
  family: string[];
}

const customs: Custom[] = [
  custom(
    'Ursula Karl-Heinz J. Dr. K.',
    'von|zu|von der|von und zu|auf der|an der|v.|v.d.|vom',
    'Leyen Müller-Lüdenscheidt Groß',
  ),
  custom(
    'Anna Jan-Peter J.A. Jan',
    "van|van der|de|ter|in 't|'t|uit den|v.d.|Van|Van Den|De",
    "Berg Vries Ijäs 's-Gravesande",
  ),
  custom(
    'Charles Marie-Hélène Jean',
    'de|du|de la|de La|des|le|à|née|d’Arc|De',
    "Gaulle d'Estaing Saint-Exupéry",
  ),
  custom('José María Santiago', 'y|de|del|de la|de los|Y|De La', 'Ortega Núñez Gasset'),
  custom('João Luiz Inácio', 'da|dos|do|das|de|e|Da', "Silva Santos d'Oliveira"),
  custom('Leonardo Andrea', "di|da|della|de'|dell'Acqua|Di|Della", "Medici Dall'Oglio D'Annunzio"),
  custom('Pádraig Seán', 'Ó|Mac|Mac an|de|Ní|Nic', "hEithir tSaoir O'Sullivan McDonald MacGregor FitzGerald"),
  custom('Dafydd Ffion', 'ap|ferch|ab|ap Rhys ap', 'Gwilym ffrench Owen'),
  custom('Mohammed Abu', 'bin|ibn|al|Al|bint|Bin', 'Salman al-Rashid ar-Rashid Maktoum'),
  custom('Kim Zhang Mao Nguyễn', 'Da|Van|Văn|Bin|Do|Thị', 'Eun Min-seok Tse-tung An Wei'),
  custom('Ram Yo-Yo K.', 'Das|Van|ul-Haq|de', "Gupta D'Souza Ma"),
  custom('JJ TJ Mary John', 'R.|de|née|of|van|JP', "Abrams O'Neil DeVito LeBron"),
  custom('MUDr. Ing. Jan Eva', 'z|roz.|ml.|a|rozená', 'Novák Žižka Svobodová'),
  custom('Асан Əli Anvar', "уулу|oğlu|o'g'li|оглы", "O'tkir Үсөн Həsən"),
  custom('Герберт Иван Г. Анна', 'фон|ван|де|и|урожд.|аль|Де', "Караян О'Генри д'Артаньян Римский-Корсаков"),
  custom("Мар'яна В'ячеслав Янка", 'та|й|фон', "Лук'яненко Салаў'ёў М'Баппе"),
  custom('Ngũgĩ Daniel', 'wa|arap|ole', "Thiong'o Moi"),
];

function custom(given: string, particle: string, family: string): Custom {
  return { given: given.split(' '), particle: particle.split('|'), family: family.split(' ') };
}

/** Fields as they occur: a whole name with particles or without, two last names, a title after it. */
const wellWritten = fc.constantFrom(...customs).chain(({ given, particle, family }) => {
  const parts = fc.tuple(
    fc.constantFrom(...given),
    fc.constantFrom(...particle),
    fc.constantFrom(...family),
    fc.constantFrom(...family),
    fc.constantFrom(' ', '-', ' - ', ' von ', ' y '),
    fc.constantFrom('', '', ' III', ' Jr.', ' jr.', ', PhD', ', LL.M.', ' MBA', ' CSc.', ' (geb. Schmidt)'),
  );
  return parts.chain(([a, b, c, d, dash, end]) =>
    fc.constantFrom(
      `${a} ${c}${end}`,
      `${a} ${b} ${c}${end}`,
      `${a} ${b} ${c}${dash}${d}`,
      `${a} (${c}) ${b} ${d}`,
    ),
  );
});

/**
 * What a name is, case, white space and the invisible aside; written apart from the code under test. Marks stand apart
 * from their letters. `İ`, `i̇` and `i` are one letter here.
 */
function fold(text: string): string {
  const visible = text.replace(/[\p{White_Space}\p{Cc}\p{Cf}]/gu, '').normalize('NFD');
  const upper = Array.from(visible, (letter) => letter.toLowerCase().toUpperCase()).join('');
  const lower = upper.toLowerCase().replaceAll('ς', 'σ');
  return lower.replace(/(?<=i\p{Mark}*)\u0307/gu, '').normalize('NFC');
}

/** A dotted i is one thing, a dotless one another, whatever the case. */
function foldTurkic(text: string): string {
  const visible = text.replace(/(?!\p{White_Space})[\p{Cc}\p{Cf}]/gu, '').normalize('NFC');
  return fold(visible.replace(/[ıi]\u0307+|İ\u0307*|i/gu, '\u{F0000}').replace(/[ıI]/gu, '\u{F0001}'));
}

/** Only with letters of both alphabets, which have no other mark than the dot; and a number, `Mehmed II`, has no i. */
function isTurkic(name: string): boolean {
  return !/(?!\u0307)\p{Mark}|[qwx]|(?<!\p{Letter})[iıİvx]+(?!\p{Letter})/iu.test(name);
}

describe('formatName', () => {
  it.each(allCases)('%j becomes %j (%s, %s, %j)', (input, expected, _language, _reason, given) => {
    expect(formatName(input, given)).toBe(expected);
  });

  it('leaves every right name of the table as it is', () => {
    for (const [, expected, , , given] of allCases) expect(formatName(expected, given)).toBe(expected);
  });

  it('has 500 cases and more, in 25 languages and more, no two of them the same', () => {
    const asked = allCases.map(([input, , , , given]) => JSON.stringify([input, given]));
    expect(asked).toEqual([...new Set(asked)]);
    expect(asked.length + CONTACT_CASES.length).toBeGreaterThanOrEqual(500);
    expect(new Set(allCases.map(([, , language]) => language)).size).toBeGreaterThanOrEqual(25);
  });

  it('leaves a text alone that is too long for a name', () => {
    expect(formatName('jOHN '.repeat(101))).toBe('jOHN '.repeat(101));
  });

  it('formats a formatted name to itself', () => {
    fc.assert(
      fc.property(names, options, (name, given) => {
        const once = formatName(name, given);
        expect(formatName(once, given)).toBe(once);
      }),
      { numRuns },
    );
  });

  it.each([
    'St-mba-xi Li',
    'Jr Dr-iii-kim',
    'Al xi-kim Li',
    'Ab-iii-jrx',
    'John-phd-t',
    'И. phd ij Ли',
    'al - hEt',
    "d'Z LL.M.-и",
  ])('formats %j once, where one word decides on the next', (name) => {
    for (const given of everyOption) {
      const once = formatName(name, given);
      expect(formatName(once, given)).toBe(once);
    }
  });

  it('never empties a name', () => {
    fc.assert(
      fc.property(names, options, (name, given) => {
        expect(formatName(name, given) === '').toBe(name === '');
      }),
      { numRuns },
    );
  });

  it('changes nothing but case, white space and invisible characters', () => {
    fc.assert(
      fc.property(names, options, (name, given) => {
        expect(fold(formatName(name, given))).toBe(fold(name));
      }),
      { numRuns },
    );
  });

  it.each(['tr', 'az'])('never makes a dotless i of a dotted one, nor the reverse (%s)', (language) => {
    fc.assert(
      fc.property(names.filter(isTurkic), options, (name, { particles }) => {
        expect(foldTurkic(formatName(name, { language, particles }))).toBe(foldTurkic(name));
      }),
      { numRuns },
    );
  });

  it('gives no i a dot, nor takes one from it, in other languages, the small i of `İ` aside', () => {
    fc.assert(
      fc.property(names, fc.constantFrom(undefined, 'nl', 'de'), (name, language) => {
        fc.pre(!/[ıİ]|\u0307/u.test(name.normalize('NFC')));
        expect(formatName(name, { language })).not.toMatch(/[ıİ]/u);
      }),
      { numRuns },
    );
  });

  it('leaves every particle as it is in a name that is right but for white space, with capitals asked for', () => {
    const particles = ['van', 'Van', 'de', 'De', 'der', 'Der', 'la', 'La', 'al', 'Al', 'bin', 'Bin', "'t"];
    const inside = fc.array(fc.constantFrom(...particles), { maxLength: 4 });
    fc.assert(
      fc.property(inside, (words) => {
        const name = ['Anna', ...words, 'Maes'].join(' ');
        expect(formatName(`  ${name} `, { particles: 'capital' })).toBe(name);
      }),
    );
  });

  it('starts every field with a capital if asked to, an elided article aside', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...pieces), minLength: 1, maxLength: 9 }),
        options,
        (name, given) => {
          const formatted = formatName(name, { ...given, firstWord: 'capital' });
          expect(formatted).not.toMatch(
            /^(?!\P{Letter}*[stn](?!\p{Letter}))\P{Letter}*\p{Lowercase_Letter}/u,
          );
        },
      ),
      { numRuns },
    );
  });

  it('leaves a name as it is that any custom of writing has so', () => {
    fc.assert(
      fc.property(wellWritten, optionsAsWritten, (name, given) => {
        expect(formatName(name, given)).toBe(name);
      }),
      { numRuns },
    );
  });

  it('keeps every letter of Unicode a single letter', () => {
    const broken: [string, NameOptions][] = [];
    for (let point = 0; point <= 0x10ffff; point++) {
      const letter = String.fromCodePoint(point);
      if (!/\p{Cased_Letter}/u.test(letter)) continue;
      for (const name of [letter, `a${letter}`, `A${letter}B`, `Anna ${letter}o`]) {
        for (const given of [{}, { language: 'tr' }, { language: 'nl' }]) {
          const formatted = formatName(name, given);
          const isStable = formatName(formatted, given) === formatted;
          if (!isStable || fold(formatted) !== fold(name)) broken.push([name, given]);
        }
      }
    }
    expect(broken).toEqual([]);
  });
});
