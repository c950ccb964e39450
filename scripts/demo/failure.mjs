/** Why the demo cannot go on, in one sentence that a person can act upon. */
export class DemoFailure extends Error {}

/** Nobody answers any more where the system was. */
export class SystemGone extends DemoFailure {}

/** The demo was told to end by a signal. */
export class Stopped extends Error {
  /** @param {'SIGINT' | 'SIGTERM' | 'SIGHUP'} signal */
  constructor(signal) {
    super(`Ended by ${signal}`);
    this.signal = signal;
  }
}

/** The demo ends by itself, whatever it waits for. */
export class TimeIsUp extends Error {}
