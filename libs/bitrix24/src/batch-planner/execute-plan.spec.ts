import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Behaviour, ModelPortal, nameOf, type SentRequest } from '../../test/model-portal.js';
import { Bitrix24Error } from '../rest/errors.js';
import { executePlan } from './execute-plan.js';
import { type Outcome, pack, type PlannedCommand } from './plan.js';

const RUNS = 250;

/** The outcome of a command. */
type Fate = 'done' | 'rejected' | 'spoils';

interface Wish {
  entity: number;
  repeatable: boolean;
  alone: boolean;
  fate: Fate;
}

const wishes: fc.Arbitrary<Wish[]> = fc.array(
  fc.record({
    entity: fc.oneof({ weight: 3, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.nat(5) }),
    repeatable: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
    alone: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, fc.constant(true)),
    fate: fc.oneof(
      { weight: 60, arbitrary: fc.constant<Fate>('done') },
      { weight: 3, arbitrary: fc.constant<Fate>('rejected') },
      { weight: 1, arbitrary: fc.constant<Fate>('spoils') },
    ),
  }),
  { maxLength: 220, size: 'max' },
);

const spoiled = new Bitrix24Error('INTERNAL_SERVER_ERROR', { httpStatus: 500 });
const unknownOutcome = [
  new Bitrix24Error('TIMEOUT', { delivered: 'unknown' }),
  new Bitrix24Error('TRANSPORT', { delivered: 'unknown' }),
  new Bitrix24Error('BAD_ANSWER', { httpStatus: 502 }),
  spoiled,
];
const nothingDone = new Bitrix24Error('ERROR_BATCH_LENGTH_EXCEEDED', { httpStatus: 400 });
const noPortal = [
  new Bitrix24Error('OVERLOAD_LIMIT', { httpStatus: 503 }),
  new Bitrix24Error('TRANSPORT', { delivered: 'no' }),
  new Error('no database'),
];

const answers = fc.record({ ticksBefore: fc.nat(4), ticksAfter: fc.nat(4) });
const behaviours: fc.Arbitrary<Behaviour[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: answers },
    {
      weight: 3,
      arbitrary: fc
        .tuple(answers, fc.constantFrom(...unknownOutcome), fc.nat(60))
        .map(([ticks, failure, done]) => ({ ...ticks, failure, done })),
    },
    { weight: 1, arbitrary: answers.map((ticks) => ({ ...ticks, failure: nothingDone })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(answers, fc.constantFrom(...noPortal))
        .map(([ticks, failure]) => ({ ...ticks, failure })),
    },
  ),
  { maxLength: 40, size: 'max' },
);

const scenarios = fc.record({
  wishes,
  behaviours,
  maxCommands: fc.oneof({ weight: 3, arbitrary: fc.constant(50) }, fc.integer({ min: 1, max: 50 })),
  concurrency: fc.integer({ min: 1, max: 5 }),
});
type Scenario = typeof scenarios extends fc.Arbitrary<infer T> ? T : never;

interface NamedJob extends PlannedCommand {
  readonly name: string;
  readonly fate: Fate;
}

async function play({ wishes: wished, behaviours: script, maxCommands, concurrency }: Scenario) {
  const jobs = wished.map(({ entity, repeatable, alone, fate }, index): NamedJob => {
    const name = `w${index}`;
    const command = { method: 'crm.item.update', params: { name } };
    return { name, fate, command, entity: `e${entity}`, repeatable, alone };
  });
  const byName = new Map(jobs.map((job) => [job.name, job]));
  const portal = new ModelPortal();
  portal.behaviours = [...script];
  portal.maxCommands = maxCommands;
  portal.spoils = (command) => (byName.get(nameOf(command))?.fate === 'spoils' ? spoiled : undefined);
  portal.answer = (command) => {
    const name = nameOf(command);
    if (byName.get(name)?.fate !== 'rejected') return { ok: true, result: name };
    return { ok: false, error: new Bitrix24Error(`REFUSED_${name}`) };
  };
  const ended = await executePlan(portal, jobs, { concurrency });
  return { jobs, portal, ended };
}

function sentWith(portal: ModelPortal, { name }: NamedJob): SentRequest[] {
  return portal.sent.filter(({ names }) => names.includes(name));
}

async function always(
  check: (played: Awaited<ReturnType<typeof play>>, scenario: Scenario) => void,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => check(await play(scenario), scenario)),
    { numRuns: RUNS },
  );
}

describe('whatever fails, a plan', () => {
  it('gives each command an outcome: its own, or that of a request that contained or preceded it', async () => {
    const failures: unknown[] = [...unknownOutcome, nothingDone, ...noPortal];
    const isOwn = ({ name, fate }: NamedJob, outcome: Outcome): boolean => {
      if (outcome.ok) return fate === 'done' && outcome.result === name;
      if (failures.includes(outcome.error)) return true;
      if (!(outcome.error instanceof Bitrix24Error)) return false;
      const { code } = outcome.error;
      return code === nothingDone.code || (fate === 'rejected' && code === `REFUSED_${name}`);
    };
    await always(({ jobs, ended }) => {
      expect(ended.map(([job]) => job)).toEqual(jobs);
      expect(ended.filter(([job, outcome]) => !isOwn(job, outcome))).toEqual([]);
    });
  });

  it('reports only executed commands as done, and never resends a possibly executed command that is not idempotent', async () => {
    await always(({ jobs, ended, portal }) => {
      const times = (name: string): number => portal.done.filter((other) => other === name).length;
      const notDone = ended.filter(([{ name }, outcome]) => outcome.ok && times(name) === 0);
      expect(notDone).toEqual([]);
      const twice = jobs.filter(({ name, repeatable }) => !repeatable && times(name) > 1);
      expect(twice).toEqual([]);
      const doubtful = jobs.filter((job) => {
        const unknown = sentWith(portal, job).findIndex(({ failure }) => isUnknown(failure));
        return !job.repeatable && unknown >= 0 && unknown < sentWith(portal, job).length - 1;
      });
      expect(doubtful).toEqual([]);
    });
  });

  it('executes the commands of an entity in their order', async () => {
    await always(({ ended, portal }) => {
      const last = new Map(portal.done.map((name, position) => [name, position]));
      const places = new Map<string, number>();
      const outOfOrder = ended.filter(([{ name, entity = '' }, outcome]) => {
        if (!outcome.ok) return false;
        const [place, before] = [last.get(name) ?? -1, places.get(entity) ?? -1];
        places.set(entity, place);
        return place <= before;
      });
      expect(outOfOrder).toEqual([]);
    });
  });

  it('keeps to its concurrency, and sends no request after the portal counts as down', async () => {
    await always(({ portal }, { concurrency }) => {
      expect(portal.maxInFlight).toBeLessThanOrEqual(concurrency);
      const rejected = portal.sent.filter(({ failure }) => noPortal.some((error) => error === failure));
      expect(rejected.filter(({ sentMeanwhile }) => sentMeanwhile !== portal.sent.length)).toEqual([]);
    });
  });

  it('sends at most two more requests for each failed one', async () => {
    await always(({ jobs, portal }, { maxCommands }) => {
      const tooMany = ['TIMEOUT', nothingDone.code];
      const failed = portal.sent.filter(({ failure }) => failure !== undefined);
      const learns = failed.some(
        ({ failure }) => failure instanceof Bitrix24Error && tooMany.includes(failure.code),
      );
      // Otherwise the plan has learned a smaller batch size, and the minimum does not apply.
      if (learns || maxCommands < 50) return;
      expect(portal.sent.length).toBeLessThanOrEqual(pack(jobs).length + 2 * failed.length);
    });
  });
});

function isUnknown(failure: unknown): boolean {
  return unknownOutcome.some((error) => error === failure);
}

describe('packed commands', () => {
  it('need one request per fifty, plus one for each unbatched command and one for its successors', () => {
    const job = fc.record({ entity: fc.nat(30).map((entity) => `e${entity}`), alone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(job, { maxLength: 300, size: 'max' }), (jobs) => {
        const packed = pack(jobs.map((one) => ({ ...one, repeatable: true, command: { method: 'x' } })));
        const alone = jobs.filter((one) => one.alone).length;
        expect(packed.flat()).toHaveLength(jobs.length);
        expect(packed.length).toBeLessThanOrEqual(Math.ceil((jobs.length - alone) / 50) + 2 * alone);
        expect(packed.every((request) => request.length === 1 || request.every((one) => !one.alone))).toBe(
          true,
        );
      }),
    );
  });
});
