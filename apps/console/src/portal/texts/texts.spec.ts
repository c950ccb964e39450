import { describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { LANGUAGES, languageOf, textIn } from './texts.js';

const placeholders = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).toSorted();

describe('the texts of the page inside Bitrix24', () => {
  const { en, ...others } = LANGUAGES;

  it('are those of every file here', () => {
    const files = readdirSync(import.meta.dirname).map((name) => name.replace(/(?:\.spec)?\.ts$/, ''));
    expect(Object.keys(LANGUAGES).toSorted()).toEqual(
      [...new Set(files)].filter((name) => name !== 'texts').toSorted(),
    );
  });

  it.each(Object.entries(others))('of %s have the keys and placeholders of the English ones', (_, texts) => {
    expect(Object.keys(texts)).toEqual(Object.keys(en));
    for (const [key, text] of Object.entries(en)) {
      const theirs = new Map(Object.entries(texts)).get(key) ?? '';
      expect({ key, has: placeholders(theirs) }).toEqual({ key, has: placeholders(text) });
      expect({ key, isEmpty: theirs.trim() === '' }).toEqual({ key, isEmpty: false });
    }
  });

  it.each(Object.entries(others))('of %s are translated', (_, texts) => {
    const sentences = Object.entries(en).filter(([, text]) => text.split(' ').length > 3);
    const left = sentences.filter(([key, text]) => new Map(Object.entries(texts)).get(key) === text);
    expect(left).toEqual([]);
  });

  it.each([
    ['de', 'de'],
    ['br', 'pt'],
    ['la', 'es'],
    ['pt-BR', 'pt'],
    ['RU', 'ru'],
    ['ua', 'en'],
    ['constructor', 'en'],
    ['', 'en'],
  ])('for %j are those of %s', (tag, language) => expect(languageOf(tag)).toBe(language));

  it('are filled in once: what is filled in is no placeholder', () => {
    expect(textIn('de', 'step.progress', { done: '{of}', of: 3 })).toBe('{of} von 3');
  });
});
