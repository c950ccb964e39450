/** Loaded into what the demo starts: even when the demo is killed, it does not stay behind. */
import process from 'node:process';

process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
