import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { canStartBroker } from '../support/broker.js';

const root = join(import.meta.dirname, '../..');
/** Any will do; this one hits each process, and is always the same. */
const seed = '5';
const minutes = '0.5';

const report = z.object({
  complaints: z.array(z.string()),
  lost: z.array(z.string()),
  ledger: z.object({ handled: z.number(), answers: z.record(z.string(), z.number()) }),
  faults: z.array(z.object({ kind: z.string() })),
});

/** Real: gateways, consumers, a RabbitMQ and a PostgreSQL of this run. Simulated: the portals that send. */
describe.each(canStartBroker() ? ['rabbitmq', 'postgresql'] : ['postgresql'])(
  'while everything on %s is killed, frozen, cut and filled',
  (bus) => {
    let folder: string;
    let run: ChildProcess;

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'relay-chaos-spec-'));
    });
    afterEach(async () => {
      run.kill('SIGTERM');
      if (run.exitCode === null && run.signalCode === null) await once(run, 'exit');
      rmSync(folder, { recursive: true, force: true });
    }, 120_000);

    it('no event that was answered with 200 is lost, and most are', async () => {
      const file = join(folder, 'report.json');
      const args = ['--bus', bus, '--seed', seed, '--minutes', minutes, '--report', file];
      run = spawn(process.execPath, [join(root, 'test/chaos/run.mjs'), ...args], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const screen: string[] = [];
      for (const stream of [run.stdout, run.stderr]) {
        stream?.setEncoding('utf8').on('data', (text: string) => screen.push(text));
      }
      const [code] = await once(run, 'close');
      if (code !== 0) throw new Error(screen.join(''));

      const { complaints, lost, ledger, faults } = report.parse(JSON.parse(readFileSync(file, 'utf8')));
      expect({ complaints, lost }).toEqual({ complaints: [], lost: [] });
      expect(ledger.answers['200']).toBeGreaterThan(500);
      expect(ledger.handled).toBeGreaterThan(500);
      const kinds = new Set(faults.map(({ kind }) => kind));
      expect([...kinds]).toEqual(
        expect.arrayContaining(['gateway killed', 'consumer killed', 'database killed']),
      );
    }, 900_000);
  },
);
