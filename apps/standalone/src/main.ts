import 'reflect-metadata';
import { runMain } from '@relay/platform';
import { endOnSignal } from './end-on-signal.js';
import { explainFileError } from './data-dir/file-error.js';
import { ResourceStack } from './resource-stack.js';
import { startStandalone } from './standalone.js';

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
