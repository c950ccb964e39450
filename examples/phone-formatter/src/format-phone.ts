import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/max';

/**
 * `LANGUAGE_ID` of a portal, where the language stands for one country. English, Arabic and the Spanish of Latin America do not: a
 * guess would make a number of one country a valid number of another.
 */
const COUNTRY_OF_LANGUAGE = new Map<string, CountryCode>([
  ...(['BR', 'DE', 'FR', 'ID', 'IN', 'IT', 'KZ', 'PL', 'RU', 'TH', 'TR', 'UA', 'VN'] as const).map(
    (country) => [country.toLowerCase(), country] as const,
  ),
  ['ja', 'JP'],
  ['ms', 'MY'],
  ['sc', 'CN'],
  ['tc', 'TW'],
]);

export function countryOfLanguage(language: string | undefined): CountryCode | undefined {
  return COUNTRY_OF_LANGUAGE.get(language?.toLowerCase() ?? '');
}

/** Longer is no number, but something that a person wrote. */
const MAX_LENGTH = 64;

/**
 * The number in E.164, such as `+905321234567`; undefined if it cannot be told for certain: it is no valid number, it has words around
 * it, or an extension, for which E.164 has no room.
 * @param country of a number without a country code; undefined: such a number stays as it is
 */
export function formatPhone(value: string, country: CountryCode | undefined): string | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const number = parsePhoneNumberFromString(value, {
    ...(country && { defaultCountry: country }),
    extract: false,
  });
  return number?.isValid() && number.ext === undefined ? number.number : undefined;
}
