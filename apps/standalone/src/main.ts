import 'reflect-metadata';
import { runMain, StartupError } from '@relay/platform';
import { endOnSignal, ResourceStack } from './process/resource-stack.js';
import { startStandalone } from './standalone.js';

const REASONS: Record<string, string> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is no folder',
  EEXIST: 'it is no folder',
};

await runMain('b24-relay', async () => {
  const parts = new ResourceStack();
  endOnSignal(parts);
  try {
    await startStandalone(parts, process.env);
  } catch (error) {
    // Ended by a signal in the middle of the start: whatever failed, failed of that.
    if (parts.isClosing) return;
    await parts.close();
    throw explainFileError(error);
  }
});

/** A file that could not be written becomes one sentence with the way out; any other error stays as it is. */
function explainFileError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('path' in error)) return error;
  const reason = REASONS[String(error.code)];
  if (reason === undefined) return error;
  return new StartupError(
    `Cannot use ${String(error.path)}: ${reason}. Choose a folder of your own: DATA_DIR=~/b24-relay-data npm start`,
    { cause: error },
  );
}
