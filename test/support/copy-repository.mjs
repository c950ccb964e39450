import { cpSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/**
 * Copies a part of this repository into a temporary folder, with its packages, which stay where they are.
 * @param {readonly string[]} files and folders
 * @returns {string} the folder, which the caller removes
 */
export function copyRepository(files) {
  const copy = mkdtempSync(join(tmpdir(), 'relay-checkout-'));
  for (const file of files)
    cpSync(join(root, file), join(copy, file), { recursive: true, preserveTimestamps: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'dir');
  return copy;
}
