import { createInterface } from 'node:readline/promises';

/**
 * Asks for values that must not be on a command line, where every user of the machine can read them. Piped input
 * answers line by line.
 */
export async function prompt(questions: readonly string[]): Promise<string[]> {
  const lines = createInterface({ input: process.stdin });
  const answers: string[] = [];
  try {
    const next = lines[Symbol.asyncIterator]();
    for (const question of questions) {
      if (process.stdin.isTTY) process.stderr.write(`${question}: `);
      const { value, done } = await next.next();
      answers.push(done ? '' : value.trim());
    }
  } finally {
    lines.close();
  }
  return answers;
}
