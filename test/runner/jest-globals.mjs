/**
 * What `@jest/globals` is for spec files and their helpers. Each spec file has functions of its own, but Node loads a module
 * once: these hand each call to those of the spec file that runs.
 */

/** @type {Record<string, any>} */
let current = {};

/** @param {Record<string, any>} globals of the spec file that runs from now on */
export function useGlobals(globals) {
  current = globals;
}

/** @param {string} name @returns {any} */
const delegate = (name) =>
  new Proxy(() => undefined, {
    apply: (_target, _this, args) => current[name](...args),
    get: (_target, key) => current[name][key],
  });

export const afterAll = delegate('afterAll');
export const afterEach = delegate('afterEach');
export const beforeAll = delegate('beforeAll');
export const beforeEach = delegate('beforeEach');
export const describe = delegate('describe');
export const expect = delegate('expect');
export const it = delegate('it');
export const jest = delegate('jest');
export const test = delegate('test');
