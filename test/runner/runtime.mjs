/**
 * Jest's option `runtime`: Node itself loads a spec file and what it imports. Our own modules are loaded anew for each spec
 * file, what is in `node_modules` once for all spec files of a worker process (ADR 47).
 */
import { existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import 'reflect-metadata';
import { context, propagation, trace } from '@opentelemetry/api';
import { register as metrics } from 'prom-client';
import { compiledPath } from './compiled.mjs';
import { useGlobals } from './jest-globals.mjs';

const require = createRequire(import.meta.url);
register('./typescript-hooks.mjs', import.meta.url);

/** Where Jest's framework keeps its listeners, and what `jest.setTimeout` sets. */
const EVENT_HANDLERS = Symbol.for('EVENT_HANDLERS');
const TEST_TIMEOUT = Symbol.for('TEST_TIMEOUT_SYMBOL');

let specs = 0;

/** What Jest 30 asks of one (`jest-circus/runner`, `jest-runner`). */
export default class Runtime {
  #environment;

  /**
   * @param {import('@jest/types').Config.ProjectConfig} _config
   * @param {import('./environment.mjs').default} environment
   */
  constructor(_config, environment) {
    this.#environment = environment;
    // What libraries keep for the whole process.
    metrics.clear();
    for (const api of [trace, context, propagation]) api.disable();
  }

  /** The framework begins anew with each spec file. @param {string} path */
  requireInternalModule(path) {
    delete require.cache[path];
    for (const kept of [EVENT_HANDLERS, TEST_TIMEOUT]) Reflect.deleteProperty(globalThis, kept);
    return require(path);
  }

  /** @param {string} path */
  requireModule(path) {
    return require(path);
  }

  unstable_shouldLoadAsEsm() {
    return true;
  }

  /** @param {string} path of a spec file */
  async unstable_importModule(path) {
    specs += 1;
    await import(`${pathToFileURL(path).href}?spec=${specs}`);
  }

  /** @param {Record<string, any>} globals */
  setGlobalsForRuntime(globals) {
    useGlobals({ ...globals, jest: jestObject(this.#environment) });
  }

  getSourceMaps() {
    return new SourceMaps();
  }

  enterTestCode() {}
  leaveTestCode() {}
  getAllCoverageInfoCopy() {}
  teardown() {}
}

/** Of Jest's object `jest` what our specs use. @param {import('./environment.mjs').default} environment */
function jestObject({ moduleMocker, fakeTimersModern: timers }) {
  return {
    fn: moduleMocker.fn.bind(moduleMocker),
    spyOn: moduleMocker.spyOn.bind(moduleMocker),
    restoreAllMocks: moduleMocker.restoreAllMocks.bind(moduleMocker),
    setTimeout: (/** @type {number} */ ms) => void Object.assign(globalThis, { [TEST_TIMEOUT]: ms }),
    useFakeTimers: timers.useFakeTimers.bind(timers),
    useRealTimers: timers.useRealTimers.bind(timers),
    setSystemTime: timers.setSystemTime.bind(timers),
    advanceTimersByTime: timers.advanceTimersByTime.bind(timers),
    advanceTimersByTimeAsync: timers.advanceTimersByTimeAsync.bind(timers),
    getTimerCount: timers.getTimerCount.bind(timers),
  };
}

/** Paths of source maps by what a stack trace names. @extends {Map<string, string>} */
class SourceMaps extends Map {
  /** @override @param {string} source */
  get(source) {
    const path = source.startsWith('file:') ? fileURLToPath(source.split('?')[0] ?? source) : source;
    const map = `${compiledPath(path)}.map`;
    return path.endsWith('.ts') && existsSync(map) ? map : undefined;
  }
}
