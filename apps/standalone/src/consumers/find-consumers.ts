import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ConsumerOptions } from '@relay/consumer';
import { z } from 'zod';

/** The folder of all apps, as sources or as built. */
const APPS = join(import.meta.dirname, '../../..');
/** `.js` in the build; `.ts` when Jest runs the sources. */
const EXTENSION = extname(import.meta.filename);

export interface FoundConsumer {
  /** Of its folder, which is the consumer's name. */
  app: string;
  /** Its code is loaded now, and not before. @throws whatever the code throws */
  load: () => Promise<ConsumerOptions>;
}

/**
 * Every app that is a consumer: it has a file `src/consumer`, which exports `consumer`. So a new one needs no registration.
 * Sorted by name.
 */
export async function findConsumers(apps = APPS): Promise<FoundConsumer[]> {
  const names = (await readdir(apps)).toSorted();
  return names.flatMap((app) => {
    const file = join(apps, app, 'src', `consumer${EXTENSION}`);
    return existsSync(file) ? { app, load: () => loadConsumer(app, file) } : [];
  });
}

async function loadConsumer(app: string, file: string): Promise<ConsumerOptions> {
  const exported: unknown = await import(pathToFileURL(file).href);
  const expected = z.looseObject({
    consumer: z.custom<ConsumerOptions>(
      (value) =>
        z
          .looseObject({ name: z.literal(app), module: z.union([z.function(), z.looseObject({})]) })
          .safeParse(value).success,
    ),
  });
  const parsed = expected.safeParse(exported);
  if (parsed.success) return parsed.data.consumer;
  throw new TypeError(
    `apps/${app}/src/consumer.ts must export \`consumer\`, an object with \`name: '${app}'\` and \`module\``,
  );
}
