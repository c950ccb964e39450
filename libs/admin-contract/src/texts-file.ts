import { join } from 'node:path';

/** Where the server of the operator page finds the texts. */
export const TEXTS_FILE = join(import.meta.dirname, 'texts.mjs');
