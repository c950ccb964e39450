import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Casts accept ASCII digits and spaces only: `\d` and `\s` depend on the server's locale, and the cast fails for digits or
 * spaces of other scripts, which then stopped the whole query. Text that is too long for its type is not checked,
 * because the check copies it. `text[]` is explicit: otherwise a user's own operator for two texts would take precedence
 * over PostgreSQL's.
 */
export class AsciiCasts1766100000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(String.raw`
      CREATE OR REPLACE FUNCTION mirror.to_number(v jsonb) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE t text := v #>> '{}'::text[];
        BEGIN
          IF jsonb_typeof(v) NOT IN ('number', 'string') OR octet_length(t) > 400
             OR t !~ '^ *[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})? *$' THEN RETURN NULL; END IF;
          RETURN t::numeric;
        END $$;

      CREATE OR REPLACE FUNCTION mirror.to_integer(v jsonb) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE t text := v #>> '{}'::text[];
        BEGIN
          IF jsonb_typeof(v) NOT IN ('number', 'string') OR octet_length(t) > 400
             OR t !~ '^ *[-+]?[0-9]{1,18}(\.0*)? *$' THEN RETURN NULL; END IF;
          RETURN trunc(t::numeric)::bigint;
        END $$;

      CREATE OR REPLACE FUNCTION mirror.to_boolean(v jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) IN ('string', 'number', 'boolean') AND octet_length(v #>> '{}') <= 5 THEN
          CASE upper(v #>> '{}') WHEN 'Y' THEN true WHEN '1' THEN true WHEN 'TRUE' THEN true
            WHEN 'N' THEN false WHEN '0' THEN false WHEN 'FALSE' THEN false END END;

      CREATE OR REPLACE FUNCTION mirror.to_date(v jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE
          t text := v #>> '{}'::text[];
          p text[];
        BEGIN
          IF jsonb_typeof(v) <> 'string' OR octet_length(t) > 100 THEN RETURN NULL; END IF;
          p := regexp_match(t, '^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:$|[T ])');
          IF p IS NULL OR p[1]::int < 1 OR p[2]::int NOT BETWEEN 1 AND 12 OR p[3]::int < 1
             OR p[3]::int > extract(day FROM make_date(p[1]::int, p[2]::int, 1) + interval '1 month - 1 day') THEN RETURN NULL; END IF;
          RETURN make_date(p[1]::int, p[2]::int, p[3]::int);
        END $$;

      CREATE OR REPLACE FUNCTION mirror.to_time(v jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE
          t text := v #>> '{}'::text[];
          p text[];
        BEGIN
          IF mirror.to_date(v) IS NULL THEN RETURN NULL; END IF;
          p := regexp_match(t, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?(?:Z|[-+]([0-9]{2}):?([0-9]{2}))$');
          IF p IS NULL OR p[1]::int > 23 OR p[2]::int > 59 OR coalesce(p[3], '0')::int > 59
             OR coalesce(p[4], '0')::int > 14 OR coalesce(p[5], '0')::int > 59 THEN RETURN NULL; END IF;
          RETURN t::timestamptz;
        END $$;

      CREATE OR REPLACE FUNCTION mirror.to_amount(v jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) = 'string' AND octet_length(v #>> '{}') <= 404 AND v #>> '{}' ~ '\|[A-Z]{0,3}$'
          THEN mirror.to_number(to_jsonb(split_part(v #>> '{}', '|', 1))) ELSE mirror.to_number(v) END;

      CREATE OR REPLACE FUNCTION mirror.to_currency(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) = 'string' AND octet_length(v #>> '{}') <= 404 AND v #>> '{}' ~ '\|[A-Z]{3}$'
          THEN split_part(v #>> '{}', '|', 2) END;
    `);
  }

  /** The older ones accepted the same values, and failed on some that are null now. */
  async down(): Promise<void> {}
}
