import { randomBytes } from 'node:crypto';
import { freePort } from './broker.js';
import { migratedDatabase } from './database.js';
import { eventually } from './eventually.js';
import { AppProcess } from './processes.js';
import { DatabaseGates, type DatabaseMoment } from './refresh-database-gates.js';
import { OAuthGate, type ExchangeMoment } from './refresh-oauth-gate.js';
import { RefreshWorker, type Answer } from './refresh-workers.js';
import { SimulatedPortal } from './simulated-portal.js';

/** Every step of a refresh at which a process can be held; `done`: after the commit, and nothing is held. */
export type Moment = DatabaseMoment | ExchangeMoment | 'done';

const workerCount = 4;
/**
 * A frozen process must lose its lock soon, and find the OAuth server's response still valid when it resumes. Waiters
 * wait long enough for two frozen ones on a slow machine.
 */
const timings = {
  requestTimeoutMs: 60_000,
  idleTimeoutMs: 1_500,
  lockTimeoutMs: 60_000,
  peerPausesMs: [50, 100, 200, 400],
  storePausesMs: [50, 100, 400, 1_500, 3_000, 5_000],
  relocationEveryMs: 600_000,
  earlyRefreshEveryMs: 0,
  rejectionGraceMs: 1_800_000,
  probeEveryMs: 3_600_000,
};

/** Four processes that call one portal, whose refreshes can be held at each step. */
export class RefreshRig {
  readonly workers: RefreshWorker[] = [];
  private readonly ever: RefreshWorker[] = [];
  private names = 0;

  private constructor(
    readonly portal: SimulatedPortal,
    readonly oauth: OAuthGate,
    readonly database: DatabaseGates,
    private readonly startOne: (name: string) => Promise<RefreshWorker>,
    private readonly ends: (() => Promise<unknown>)[],
  ) {}

  static async start(): Promise<RefreshRig> {
    const ends: (() => Promise<unknown>)[] = [];
    try {
      const database = await migratedDatabase();
      ends.push(() => database.drop());

      const port = await freePort();
      const [clientId, clientSecret] = ['local.test', randomBytes(16).toString('hex')];
      const simulator = AppProcess.start('simulator', 'apps/portal-simulator/src/main.js', {
        SIMULATOR_PORT: String(port),
        B24_CLIENT_ID: clientId,
        B24_CLIENT_SECRET: clientSecret,
      });
      ends.push(() => simulator.stop());
      const simulatorUrl = `http://127.0.0.1:${port}`;
      await simulator.ready(`${simulatorUrl}/health/ready`);
      const portal = await SimulatedPortal.create(simulatorUrl, 'refreshed', {
        rate: 10_000,
        burst: 100_000,
      });

      const oauth = await OAuthGate.before(simulatorUrl);
      ends.push(() => oauth.stop());
      const gates = await DatabaseGates.in(database.url);
      ends.push(() => gates.stop());

      const options = {
        databaseUrl: database.url,
        oauth: { urls: [oauth.url], clientId, clientSecret },
        allowHosts: [`127.0.0.1:${port}`],
        key: randomBytes(32).toString('base64'),
        memberId: portal.memberId,
        timings,
      };
      const rig = new RefreshRig(portal, oauth, gates, (name) => RefreshWorker.start(name, options), ends);
      ends.push(() => Promise.all(rig.workers.map((worker) => worker.end('SIGKILL'))));
      await Promise.all(Array.from({ length: workerCount }, () => rig.addWorker()));
      await rig.install();
      return rig;
    } catch (error) {
      for (const end of ends.toReversed()) await end();
      throw error;
    }
  }

  async addWorker(): Promise<RefreshWorker> {
    this.names += 1;
    const worker = await this.startOne(`worker-${this.names}`);
    this.workers.push(worker);
    this.ever.push(worker);
    return worker;
  }

  /** A new process in the place of one that has ended. */
  async replace(ended: RefreshWorker): Promise<void> {
    await this.addWorker();
    this.workers.splice(this.workers.indexOf(ended), 1);
  }

  /** The portal's user opens the application, which brings a new pair. */
  async openApplication(): Promise<Answer> {
    const { refresh_token: refreshToken } = await this.portal.install();
    return this.someWorker().order({ what: 'reauthorize', refreshToken });
  }

  someWorker(): RefreshWorker {
    const worker = this.workers[Math.floor(Math.random() * this.workers.length)];
    if (!worker) throw new Error('no worker is left');
    return worker;
  }

  async close(moment: Moment): Promise<void> {
    if (moment === 'request' || moment === 'answer') this.oauth.close(moment);
    else if (moment !== 'done') await this.database.close(moment);
  }

  /** Lets what is held go on, after the OAuth server has noticed that a killed process is gone. */
  async open(moment: Moment, isKilled: boolean): Promise<void> {
    if (moment === 'request' || moment === 'answer') {
      if (isKilled) await eventually(() => expectThat(this.oauth.isAbandoned, 'the exchange was abandoned'));
      this.oauth.open();
    } else if (moment !== 'done') await this.database.open();
  }

  /** The worker that has come to this step. @param pair the one that is to be refreshed */
  async arrived(moment: Moment, pair: string): Promise<RefreshWorker> {
    return eventually(
      async () => {
        const name = await this.nameAt(moment, pair);
        const worker = this.workers.find((each) => each.name === name);
        if (!worker) throw new Error(`no worker has come to the step ${moment}`);
        return worker;
      },
      { everyMs: 5, timeoutMs: 60_000 },
    );
  }

  /** What all workers have written, those that were killed as well. */
  log(): string {
    return this.ever.map((worker) => worker.log()).join('\n');
  }

  async stop(): Promise<void> {
    for (const end of this.ends.toReversed()) await end();
  }

  private async nameAt(moment: Moment, pair: string): Promise<string | undefined> {
    if (moment === 'request' || moment === 'answer') return this.oauth.held;
    if (moment !== 'done') return this.database.held();
    return (await this.database.stored()).pair === pair ? undefined : this.oauth.granted.at(-1);
  }

  private async install(): Promise<void> {
    const { refresh_token: refreshToken } = await this.portal.install();
    const { ok, message } = await this.someWorker().order({ what: 'install', refreshToken });
    expectThat(ok, message ?? 'the install was stored');
  }
}

function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not so: ${what}`);
}
