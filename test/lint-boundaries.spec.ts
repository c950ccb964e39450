import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const root = join(import.meta.dirname, '..');
const report = z.object({
  diagnostics: z.array(z.object({ code: z.string(), filename: z.string() })),
});

type Import = [file: string, what: string];

const rejected: Import[] = [
  // Past a lib's index.ts, or not by its name.
  ['libs/events/src/event.ts', '../../bus/src/index.js'],
  ['libs/portals/src/portals.module.ts', '../../events/src/index.js'],
  ['libs/portals/src/portals.module.ts', '../../platform/src/index.js'],
  ['libs/bus/src/rabbitmq/receipt.ts', '../../../portals/src/index.js'],
  ['libs/bus/src/event-bus.spec.ts', '../../portals/test/portals-database.js'],
  ['libs/consumer/src/nest/event-handlers.ts', '../../../bus/src/index.js'],
  ['libs/consumer/src/heartbeat/consumer-status.spec.ts', '../../../bus/test/events.js'],
  ['libs/consumer/src/consumer.ts', '../../bus/src/event-bus.js'],
  ['apps/gateway/src/gateway.ts', '../../../libs/bus/src/index.js'],
  ['apps/gateway/src/ingress/event-ingress.ts', '../../../../libs/events/src/form.js'],
  ['apps/gateway/src/gateway.ts', '@relay/bus/src/event-bus.js'],
  // An app imports no app.
  ['apps/gateway/src/gateway.ts', '../../name-formatter/src/name-changes.js'],
  ['apps/gateway/src/ingress/event-ingress.ts', '../../../name-formatter/src/name-changes.js'],
  ['apps/cli/src/main.ts', '../../../apps/gateway/src/gateway.js'],
  ['libs/platform/src/lifecycle/run-main.ts', '../../../apps/gateway/src/gateway.js'],
  ['apps/standalone/src/standalone.ts', '../../gateway/src/ingress/event-ingress.js'],
  ['apps/standalone/src/standalone.ts', '../../../libs/bus/src/index.js'],
  // Who may import whom.
  ['libs/events/src/event.ts', '@relay/platform'],
  ['libs/names/src/format-name.ts', '@relay/platform'],
  ['libs/bitrix24/src/rest/batch.ts', '@relay/platform'],
  ['libs/platform/src/lifecycle/run-main.ts', '@relay/events'],
  ['libs/bus/src/event-bus.ts', '@relay/portals'],
  ['libs/bus/src/event-bus.ts', '@relay/bitrix24'],
  ['libs/portals/src/portals.module.ts', '@relay/events'],
  ['libs/portals/src/portals.module.ts', '@relay/bus'],
  ['libs/jobs/src/job-runner.ts', '@relay/portals'],
  ['libs/event-log/src/event-log-writer.ts', '@relay/bus'],
  ['libs/installs/src/installer.ts', '@relay/bus'],
  ['libs/admin-contract/src/journal.ts', '@relay/platform'],
  ['apps/cli/src/commands/bus.ts', '@relay/jobs'],
  ['apps/gateway/src/gateway.ts', '../../control-plane/src/control-plane.js'],
  ['apps/control-plane/src/control-plane.ts', '../../gateway/src/gateway.js'],
  ['libs/bus/src/event-bus.ts', '@relay/consumer'],
  ['libs/consumer/src/consumer.ts', '@relay/events'],
  ['libs/consumer/src/consumer.ts', '@relay/bitrix24'],
  ['apps/portal-simulator/src/portal.ts', '@relay/bitrix24'],
  ['apps/portal-simulator/src/rest/batch.ts', '@relay/events'],
  ['apps/portal-simulator/src/rest/batch.ts', '../../../../libs/events/src/index.js'],
  ['libs/testing/src/test-consumer.ts', '../../bus/src/open-bus.js'],
  ['libs/testing/src/test-consumer.ts', '../../../apps/portal-simulator/src/portal/portal.js'],
  ['libs/consumer/src/consumer.ts', '../../bus/src/memory/memory-bus.js'],
  // What generates code is apart from it.
  ['tools/schematics/consumer/index.js', '@relay/events'],
  ['tools/schematics/lib/events.js', '../../../libs/events/src/entity.js'],
  ['libs/events/src/event.ts', '../../../tools/schematics/lib/events.js'],
  ['apps/gateway/src/gateway.ts', '../../../tools/schematics/lib/events.js'],
];

const allowed: Import[] = [
  ['libs/testing/src/test-consumer.ts', '../../bus/src/memory/memory-bus.js'],
  ['libs/testing/src/test-consumer.ts', '../../../apps/portal-simulator/src/simulator.js'],
  ['tools/schematics/consumer/index.js', '../lib/events.js'],
  ['libs/portals/src/portals.module.ts', '@relay/bitrix24'],
  ['libs/bus/src/event-bus.ts', '@relay/events'],
  ['libs/jobs/src/job-runner.ts', '@relay/platform'],
  ['libs/installs/src/installer.ts', '@relay/jobs'],
  ['apps/cli/src/commands/bus.ts', '@relay/admin-contract'],
  ['apps/cli/src/doctor/doctor.ts', '@relay/bus'],
  ['apps/cli/src/doctor/doctor.ts', '@relay/portals'],
  ['libs/consumer/src/consumer.ts', '@relay/portals'],
  ['libs/consumer/src/scheduler/lane.ts', '@relay/bus'],
  ['apps/gateway/src/gateway.ts', '@relay/events'],
  ['apps/portal-simulator/src/main.ts', '@relay/platform'],
  ['apps/standalone/src/standalone.ts', '../../gateway/src/gateway.js'],
  ['libs/bus/src/rabbitmq/receipt.ts', '../event-bus.js'],
  ['libs/consumer/src/nest/portal-events.server.spec.ts', '../../test/memory-crash-log.js'],
  ['libs/consumer/test/memory-crash-log.ts', '../src/poison/poison-detector.js'],
  ['test/support/bus-under-test.ts', '../../libs/bus/src/event-bus.js'],
  ['libs/bus/src/event-bus.spec.ts', '../../../test/support/eventually.js'],
  ['libs/bus/src/rabbitmq/topology.spec.ts', '../../../../test/support/broker.js'],
  ['libs/events/src/samples/samples.spec.ts', '../../test/samples.js'],
  ['apps/gateway/src/ingress/event-ingress.ts', '../installs/installer.js'],
];

/** Real: oxlint with this repository's settings, over files that each do one import and no more. */
describe('the linter', () => {
  const folder = mkdtempSync(join(tmpdir(), 'relay-lint-'));
  const found = new Map<string, string[]>();

  beforeAll(() => {
    copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
    for (const [file, what] of [...rejected, ...allowed]) {
      const path = join(folder, planted(file, what));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `export { one } from '${what}';\n`);
    }
    const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
    const { stdout } = spawnSync(process.execPath, [oxlint, '--format', 'json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    for (const { filename, code } of report.parse(JSON.parse(stdout)).diagnostics) {
      found.set(filename, [...(found.get(filename) ?? []), code]);
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(rejected)('rejects in %s an import of %s', (file, what) => {
    expect(found.get(planted(file, what))).toEqual(['eslint(no-restricted-imports)']);
  });

  it.each(allowed)('lets %s import %s', (file, what) => {
    expect(found.get(planted(file, what))).toBeUndefined();
  });
});

/** Beside the file that is meant, one for each import. */
function planted(file: string, what: string): string {
  return join(dirname(file), `${what.replaceAll(/\W+/g, '-')}.ts`);
}
