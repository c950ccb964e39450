import { CreateBus1764000000100 } from './migrations/1764000000100-create-bus.js';

/** Kept outside the folder: `npm run migrate` takes every export of a file in there for a migration. */
export const busMigrations = [CreateBus1764000000100];
