import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The function runs as the owner of the schema, because the role of the services may create and drop no table. It takes two
 * numbers, and can touch nothing but partitions of these two tables.
 */
export class CreateEventLog1766500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA event_log;

      CREATE TABLE event_log.events (
        id uuid NOT NULL,
        member_id text NOT NULL,
        name text NOT NULL,
        entity_type_id integer NOT NULL,
        entity text,
        key_only boolean NOT NULL,
        received_at timestamptz NOT NULL,
        source text,
        trace_id text,
        logged_at timestamptz NOT NULL DEFAULT now()
      ) PARTITION BY RANGE (logged_at);
      COMMENT ON TABLE event_log.events IS 'the last events of each portal, for operators: ids only, and never needed for delivery';
      COMMENT ON COLUMN event_log.events.key_only IS 'its data were the id of its thing and nothing else, so that it can be sent again';
      COMMENT ON COLUMN event_log.events.source IS 'null: Bitrix24 posted it; offline: read from its offline queue; resend: by an operator';
      CREATE INDEX ON event_log.events (received_at DESC, id DESC);
      CREATE INDEX ON event_log.events (member_id, received_at DESC, id DESC);
      CREATE INDEX ON event_log.events (id);

      CREATE SEQUENCE event_log.outcomes_seq;
      CREATE TABLE event_log.outcomes (
        seq bigint NOT NULL DEFAULT nextval('event_log.outcomes_seq'),
        event_id uuid NOT NULL,
        consumer text NOT NULL,
        outcome text NOT NULL,
        attempts integer NOT NULL,
        code text,
        merged_into uuid,
        at timestamptz NOT NULL,
        logged_at timestamptz NOT NULL DEFAULT now()
      ) PARTITION BY RANGE (logged_at);
      COMMENT ON TABLE event_log.outcomes IS 'what each consumer did with each event: done, retry, wait or dead; the row with the highest seq is the present state';
      COMMENT ON COLUMN event_log.outcomes.merged_into IS 'the first event of the entry as which it was handled; null: that is itself';
      CREATE INDEX ON event_log.outcomes (event_id);
      CREATE INDEX ON event_log.outcomes (outcome) WHERE outcome <> 'done';
      CREATE INDEX ON event_log.outcomes (event_id) WHERE merged_into IS NOT NULL;

      CREATE FUNCTION event_log.maintain(keep_days integer, max_bytes bigint, OUT dropped text[], OUT emptied boolean)
      LANGUAGE plpgsql SECURITY DEFINER
      SET search_path = pg_catalog, pg_temp
      -- A partition that is being read is dropped a minute later; meanwhile no writer queues behind the wait.
      SET lock_timeout = '2s'
      AS $body$
      DECLARE
        today date := (now() AT TIME ZONE 'UTC')::date;
        parent text;
        name text;
        oldest date;
      BEGIN
        dropped := '{}';
        emptied := false;
        FOREACH parent IN ARRAY ARRAY['events', 'outcomes'] LOOP
          FOR ahead IN 0..7 LOOP
            name := format('%s_%s', parent, to_char(today + ahead, 'YYYYMMDD'));
            IF to_regclass(format('event_log.%I', name)) IS NULL THEN
              EXECUTE format('CREATE TABLE event_log.%I PARTITION OF event_log.%I FOR VALUES FROM (%L) TO (%L)', name, parent,
                (today + ahead)::timestamp AT TIME ZONE 'UTC', (today + ahead + 1)::timestamp AT TIME ZONE 'UTC');
            END IF;
          END LOOP;
        END LOOP;
        LOOP
          SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) INTO oldest
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent IN ('event_log.events'::regclass, 'event_log.outcomes'::regclass);
          EXIT WHEN oldest >= today - keep_days AND (
            SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0) FROM pg_inherits i
            WHERE i.inhparent IN ('event_log.events'::regclass, 'event_log.outcomes'::regclass)) <= max_bytes;
          IF oldest >= today THEN
            EXECUTE format('TRUNCATE event_log.%I, event_log.%I',
              'events_' || to_char(today, 'YYYYMMDD'), 'outcomes_' || to_char(today, 'YYYYMMDD'));
            emptied := true;
            EXIT;
          END IF;
          EXECUTE format('DROP TABLE IF EXISTS event_log.%I, event_log.%I',
            'events_' || to_char(oldest, 'YYYYMMDD'), 'outcomes_' || to_char(oldest, 'YYYYMMDD'));
          dropped := dropped || oldest::text;
        END LOOP;
      END
      $body$;
      COMMENT ON FUNCTION event_log.maintain IS
        'creates the partitions of this day and of seven ahead, drops those older than so many days, and more while the rest takes more bytes';

      SELECT event_log.maintain(3, 1099511627776);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA event_log CASCADE');
  }
}
