import { waitAtMost } from '@relay/platform';

/** One line of the report. */
export interface Finding {
  /** What was checked, one or two words. */
  check: string;
  /** `skipped`: it cannot be checked while something else does not work. */
  state: 'ok' | 'problem' | 'skipped';
  /** What is well; or what is wrong and what to do. Without secrets. */
  text: string;
}

export const ok = (check: string, text: string): Finding => ({ check, state: 'ok', text });
export const problem = (check: string, text: string): Finding => ({ check, state: 'problem', text });
export const skipped = (check: string, text: string): Finding => ({ check, state: 'skipped', text });

/** Problems, or one line that says that there are none. */
export function problemsOrOk(check: string, problems: readonly string[], text: string): Finding[] {
  return problems.length === 0 ? [ok(check, text)] : problems.map((each) => problem(check, each));
}

/** The first of many lines, and how many more there are. */
export function shortened(lines: readonly string[], max = 20): string[] {
  const more = lines.length - max;
  return more > 0 ? [...lines.slice(0, max), `… and ${more} more of this kind`] : [...lines];
}

/** Runs a check within its time; a failure of it is a problem, too. */
export async function bounded(
  check: string,
  timeoutMs: number,
  work: () => Promise<Finding[]>,
  describe: (error: unknown) => string,
): Promise<Finding[]> {
  try {
    const late = problem(check, `it did not answer within ${Math.ceil(timeoutMs / 1_000)} s`);
    return (await waitAtMost(work(), timeoutMs)) ?? [late];
  } catch (error) {
    return [problem(check, `it could not be checked: ${describe(error)}`)];
  }
}
