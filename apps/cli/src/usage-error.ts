import { StartupError } from '@relay/platform';

/** The command was called wrongly, and nothing was done: exit code 2. */
export class UsageError extends StartupError {}
