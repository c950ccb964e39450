import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { loadMigrations } from './migrations.js';

const root = join(import.meta.dirname, '../../..');

describe('the migrations', () => {
  it('are those of every lib and app, one class per file', async () => {
    const all = await loadMigrations();
    const files = ['libs', 'apps'].flatMap((area) =>
      readdirSync(join(root, area), { recursive: true, encoding: 'utf8' }).filter((file) =>
        /^[^/]+\/src\/(.+\/)?migrations\/[^/]+\.ts$/.test(file),
      ),
    );
    expect(files).not.toEqual([]);
    expect(all).toHaveLength(files.length);
  });

  it('of one lib are only its own', async () => {
    const files = readdirSync(join(root, 'libs/portals/src/migrations'));
    await expect(loadMigrations('libs/portals')).resolves.toHaveLength(files.length);
  });
});
