import { CreateMirror1764100000000 } from './migrations/1764100000000-create-mirror.js';
import { ForgetPortals1764800000000 } from './migrations/1764800000000-forget-portals.js';
import { WidenMirror1764960000100 } from './migrations/1764960000100-widen-mirror.js';
import { CreateCasts1764960000200 } from './migrations/1764960000200-create-casts.js';
import { LetPeopleRead1764960000300 } from './migrations/1764960000300-let-people-read.js';
import { AsciiCasts1766100000100 } from './migrations/1766100000100-ascii-casts.js';

/** Outside the folder, because `npm run migrate` treats every export of a file in there as a migration. */
export const MIRROR_MIGRATIONS = [
  CreateMirror1764100000000,
  ForgetPortals1764800000000,
  WidenMirror1764960000100,
  CreateCasts1764960000200,
  LetPeopleRead1764960000300,
  AsciiCasts1766100000100,
];
