import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '@relay/platform';

const generators = {
  TOKEN_KEYS: () => `k1:${randomBytes(32).toString('base64')}`,
  OPS_TOKEN: () => randomBytes(24).toString('base64url'),
  POSTGRES_PASSWORD: () => randomBytes(24).toString('hex'),
};
const NAMES = ['TOKEN_KEYS', 'OPS_TOKEN', 'POSTGRES_PASSWORD'] as const;
export type GeneratedSecrets = Record<(typeof NAMES)[number], string>;

const HEADING =
  '# Made at the first start. Without TOKEN_KEYS nothing opens the portals’ tokens in the database: keep both together.\n';

/**
 * The secrets of this installation, from `secrets.env` in the folder; made there when they are not.
 * @throws StartupError when there is a database but the secrets that open it are gone
 */
export function loadOrGenerateSecrets(folder: string, hasDatabase: boolean): GeneratedSecrets {
  const path = join(folder, 'secrets.env');
  const kept = existsSync(path) ? read(path) : {};
  const missing = NAMES.filter((name) => !kept[name]);
  if (hasDatabase && missing.some((name) => name !== 'OPS_TOKEN')) {
    throw new StartupError(
      `${path} is not complete, and the database beside it opens with nothing else: put it back, or remove ${folder} to begin anew.`,
    );
  }
  const value = (name: (typeof NAMES)[number]): string => kept[name] ?? generators[name]();
  const secrets: GeneratedSecrets = {
    TOKEN_KEYS: value('TOKEN_KEYS'),
    OPS_TOKEN: value('OPS_TOKEN'),
    POSTGRES_PASSWORD: value('POSTGRES_PASSWORD'),
  };
  if (missing.length > 0) write(path, secrets);
  return secrets;
}

function read(path: string): Partial<Record<string, string>> {
  const lines = readFileSync(path, 'utf8').matchAll(/^([A-Z_]+)=(.+)$/gm);
  chmodSync(path, 0o600);
  return Object.fromEntries([...lines].map(([, name, value]) => [name, value]));
}

/** Whole or not at all: a process that is killed meanwhile leaves no half of it. */
function write(path: string, secrets: GeneratedSecrets): void {
  const text = NAMES.map((name) => `${name}=${secrets[name]}\n`).join('');
  writeFileSync(`${path}.new`, HEADING + text, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}
