import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

/**
 * Reads the name and the options that a command was given.
 * @param {string} usage @param {readonly string[]} options with a value @param {readonly string[]} flags without one
 * @returns {Record<string, string | boolean | undefined> & { name?: string }}
 */
export function readArguments(usage, options, flags = []) {
  try {
    /** @type {Record<string, { type: 'string' | 'boolean', short?: string }>} */
    const known = { help: { type: 'boolean', short: 'h' } };
    for (const option of options) known[option] = { type: 'string' };
    for (const flag of flags) known[flag] = { type: 'boolean' };
    const { values, positionals } = parseArgs({ allowPositionals: true, options: known });
    if (values['help'] === true) {
      console.log(usage);
      process.exit(0);
    }
    if (positionals.length > 1)
      throw new Error(`one name is enough: ${positionals.join(' ')} are ${positionals.length}`);
    return { ...values, name: positionals[0] };
  } catch (error) {
    return fail(`${messageOf(error)}\n${usage}`);
  }
}

/** Changes that are not committed stay apart from ours only in a person's mind. */
export function noteOtherChanges() {
  const { status, stdout } = spawnSync('git', ['status', '--porcelain'], { encoding: 'utf8' });
  const files = stdout?.split('\n').filter(Boolean).length ?? 0;
  if (status === 0 && files > 0)
    console.log(
      `Note: ${files} other ${files === 1 ? 'change is' : 'changes are'} not committed yet; git will show them together with these.`,
    );
}

/**
 * One sentence where a person can do something about it, which is what the schematics throw, and errors of files.
 * @param {unknown} error @returns {never}
 */
export function failWith(error) {
  if (error instanceof Error && (error.name === 'Rejection' || 'code' in error)) fail(error.message);
  throw error;
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`b24-relay: ${message}`);
  process.exit(1);
}
