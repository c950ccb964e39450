import { de } from './de.js';
import { en, type TextKey, type Texts } from './en.js';
import { es } from './es.js';
import { pt } from './pt.js';
import { ru } from './ru.js';

export const LANGUAGES = { en, de, es, pt, ru } as const satisfies Record<string, Texts>;
export type Language = keyof typeof LANGUAGES;

/** Bitrix24 has names of its own for some (api-reference/crm/data-types.md, language identifiers). */
const NAMED_OTHERWISE: Readonly<Record<string, Language>> = { la: 'es', br: 'pt' };

/** @param tag as Bitrix24 names the language, such as `de`, `br` or `pt-BR`. @returns English for one that is not here */
export function languageOf(tag: string): Language {
  const [name = ''] = tag.toLowerCase().split(/[-_]/, 1);
  const known = Object.hasOwn(NAMED_OTHERWISE, name) ? NAMED_OTHERWISE[name] : name;
  return isLanguage(known) ? known : 'en';
}

/** @returns the text with its placeholders filled in */
export function textIn(
  language: Language,
  key: TextKey,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return LANGUAGES[language][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    String(values[name] ?? whole),
  );
}

function isLanguage(name: string | undefined): name is Language {
  return name !== undefined && Object.hasOwn(LANGUAGES, name);
}
