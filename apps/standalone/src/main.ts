import 'reflect-metadata';
import { runMain } from '@relay/platform';
import { endOnSignal } from './end-on-signal.js';
import { explainFileError } from './folder/file-error.js';
import { RunningParts } from './running-parts.js';
import { startStandalone } from './standalone.js';

await runMain('b24-relay', async () => {
  const parts = new RunningParts();
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
