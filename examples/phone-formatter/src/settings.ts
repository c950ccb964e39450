import { getCountries } from 'libphonenumber-js/max';
import { z } from 'zod';

/** Of the consumer and its queues: it stays the same. */
export const NAME = 'phone-formatter';

/** What an operator may set for a portal: `relay portals set <member_id> phone-formatter '{"country": "GB"}'`. */
export const settingsSchema = z.strictObject({
  enabled: z.boolean().default(true),
  /** ISO 3166, of numbers without a country code; by default that of the portal's language. */
  country: z.enum(getCountries()).optional(),
});
