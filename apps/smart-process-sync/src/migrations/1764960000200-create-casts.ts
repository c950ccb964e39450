import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The casts of the typed views: null for a JSON value that does not fit, never an error, which would stop a whole query
 * for one bad item. PostgreSQL 15 has no `pg_input_is_valid`, and an EXCEPTION block costs a subtransaction per value, so
 * each checks the text before it casts. All depend on their argument alone; times without an offset do not fit.
 */
export class CreateCasts1764960000200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(String.raw`
      CREATE FUNCTION mirror.to_text(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE jsonb_typeof(v) WHEN 'string' THEN nullif(v #>> '{}', '') WHEN 'number' THEN v #>> '{}' WHEN 'boolean' THEN v #>> '{}' END;

      CREATE FUNCTION mirror.to_number(v jsonb) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE t text := v #>> '{}';
        BEGIN
          IF jsonb_typeof(v) NOT IN ('number', 'string') OR length(t) > 400
             OR t !~ '^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?\s*$' THEN RETURN NULL; END IF;
          RETURN t::numeric;
        END $$;

      CREATE FUNCTION mirror.to_integer(v jsonb) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE t text := v #>> '{}';
        BEGIN
          IF jsonb_typeof(v) NOT IN ('number', 'string') OR t !~ '^\s*[-+]?\d{1,18}(\.0*)?\s*$' THEN RETURN NULL; END IF;
          RETURN trunc(t::numeric)::bigint;
        END $$;

      CREATE FUNCTION mirror.to_boolean(v jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) IN ('string', 'number', 'boolean') THEN
          CASE upper(v #>> '{}') WHEN 'Y' THEN true WHEN '1' THEN true WHEN 'TRUE' THEN true
            WHEN 'N' THEN false WHEN '0' THEN false WHEN 'FALSE' THEN false END END;

      CREATE FUNCTION mirror.to_date(v jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE p text[];
        BEGIN
          IF jsonb_typeof(v) <> 'string' THEN RETURN NULL; END IF;
          p := regexp_match(v #>> '{}', '^(\d{4})-(\d{2})-(\d{2})(?:$|[T ])');
          IF p IS NULL OR p[1]::int < 1 OR p[2]::int NOT BETWEEN 1 AND 12 OR p[3]::int < 1
             OR p[3]::int > extract(day FROM make_date(p[1]::int, p[2]::int, 1) + interval '1 month - 1 day') THEN RETURN NULL; END IF;
          RETURN make_date(p[1]::int, p[2]::int, p[3]::int);
        END $$;

      CREATE FUNCTION mirror.to_time(v jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        DECLARE p text[];
        BEGIN
          IF mirror.to_date(v) IS NULL THEN RETURN NULL; END IF;
          p := regexp_match(v #>> '{}', '^\d{4}-\d{2}-\d{2}[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(?:Z|[-+](\d{2}):?(\d{2}))$');
          IF p IS NULL OR p[1]::int > 23 OR p[2]::int > 59 OR coalesce(p[3], '0')::int > 59
             OR coalesce(p[4], '0')::int > 14 OR coalesce(p[5], '0')::int > 59 THEN RETURN NULL; END IF;
          RETURN (v #>> '{}')::timestamptz;
        END $$;

      CREATE FUNCTION mirror.to_amount(v jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) = 'string' AND v #>> '{}' ~ '\|[A-Z]{0,3}$' THEN mirror.to_number(to_jsonb(split_part(v #>> '{}', '|', 1)))
          ELSE mirror.to_number(v) END;

      CREATE FUNCTION mirror.to_currency(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN jsonb_typeof(v) = 'string' AND v #>> '{}' ~ '\|[A-Z]{3}$' THEN split_part(v #>> '{}', '|', 2) END;

      CREATE FUNCTION mirror.to_file_id(v jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE jsonb_typeof(v) WHEN 'object' THEN mirror.to_integer(v -> 'id') ELSE mirror.to_integer(v) END;

      CREATE FUNCTION mirror.to_file_url(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE jsonb_typeof(v) WHEN 'object' THEN mirror.to_text(v -> 'url') END;

      -- What Bitrix24 writes for a field without a value; false too, for some multiple ones.
      CREATE FUNCTION mirror.is_empty(v jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        v IS NULL OR v IN ('null', '""', 'false', '[]', '{}');

      CREATE FUNCTION mirror.to_list(v jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        CASE WHEN mirror.is_empty(v) THEN '[]' WHEN jsonb_typeof(v) = 'array' THEN v
          WHEN jsonb_typeof(v) <> 'object' THEN jsonb_build_array(v) END;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    const functions = [
      'list',
      'file_url',
      'file_id',
      'currency',
      'amount',
      'time',
      'date',
      'boolean',
      'integer',
      'number',
      'text',
    ];
    for (const name of functions) await runner.query(`DROP FUNCTION mirror.to_${name}(jsonb)`);
    await runner.query('DROP FUNCTION mirror.is_empty(jsonb)');
  }
}
