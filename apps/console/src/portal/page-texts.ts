import { inject, type InjectionKey, provide } from 'vue';
import type { TextKey } from './texts/en.js';
import { type Language, textIn } from './texts/texts.js';

type PageTexts = ((key: TextKey, values?: Record<string, string | number>) => string) & {
  /** Dates and numbers as the language writes them. */
  date(iso: string): string;
  number(value: number): string;
};

const KEY: InjectionKey<PageTexts> = Symbol('texts');

export function provideTexts(language: Language): PageTexts {
  const dates = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
  const numbers = new Intl.NumberFormat(language);
  const texts: PageTexts = Object.assign(
    (key: TextKey, values?: Record<string, string | number>) => textIn(language, key, values),
    { date: (iso: string) => dates.format(new Date(iso)), number: (value: number) => numbers.format(value) },
  );
  provide(KEY, texts);
  return texts;
}

export function useTexts(): PageTexts {
  const texts = inject(KEY);
  if (!texts) throw new Error('no texts are provided');
  return texts;
}
