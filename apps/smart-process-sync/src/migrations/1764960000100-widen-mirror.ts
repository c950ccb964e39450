import type { MigrationInterface, QueryRunner } from 'typeorm';

export class WidenMirror1764960000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE mirror.items
        ADD COLUMN moved_time timestamptz,
        ADD COLUMN created_by_id int,
        ADD COLUMN updated_by_id int,
        ADD COLUMN opportunity numeric,
        ADD COLUMN currency_id text,
        ADD COLUMN hidden_at timestamptz,
        ADD COLUMN read_at timestamptz;
      -- A view unpacks it for every column that is asked for; lz4 is several times faster at that, where the server has it.
      DO $$ BEGIN
        ALTER TABLE mirror.items ALTER COLUMN fields SET COMPRESSION lz4;
      EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL;
      END $$;
      COMMENT ON COLUMN mirror.items.opportunity IS 'the amount, in currency_id';
      COMMENT ON COLUMN mirror.items.hidden_at IS 'since when the portal has it but does not show it to the user of the application; other columns keep what was last known';
      COMMENT ON COLUMN mirror.items.read_at IS 'when the read began that this row comes from; null before this column was';

      CREATE TABLE mirror.types (
        member_id text NOT NULL,
        entity_type_id int NOT NULL,
        code text,
        title text NOT NULL,
        state text NOT NULL DEFAULT 'mirrored' CHECK (state IN ('mirrored', 'excluded', 'deleted')),
        deleted_at timestamptz,
        fields jsonb NOT NULL DEFAULT '{}',
        fields_read_at timestamptz,
        view_name text UNIQUE,
        view_columns jsonb NOT NULL DEFAULT '[]',
        view_hash text,
        view_error text,
        misfits jsonb NOT NULL DEFAULT '{}',
        backfill_run bigint,
        backfill_after bigint NOT NULL DEFAULT 0,
        backfill_items bigint NOT NULL DEFAULT 0,
        backfilled_at timestamptz,
        reconciled_at timestamptz,
        PRIMARY KEY (member_id, entity_type_id)
      );
      COMMENT ON TABLE mirror.types IS 'the smart processes of each portal, as crm.type.list and crm.item.fields told them';
      COMMENT ON COLUMN mirror.types.state IS 'excluded: by the settings, its rows stay as they were; deleted: at the portal';
      COMMENT ON COLUMN mirror.types.view_error IS 'why the view is not as the fields are; it is tried again with every refresh';
      COMMENT ON COLUMN mirror.types.misfits IS 'by column of the view: values that do not fit its type, null there; counted by the last backfill or reconciliation';
      COMMENT ON COLUMN mirror.types.backfill_after IS 'all items up to this id have been stored by the backfill';

      ALTER TABLE mirror.portals
        ADD COLUMN backfill_asked_at timestamptz,
        ADD COLUMN reconcile_due_at timestamptz,
        ADD COLUMN settings_seen jsonb,
        ADD COLUMN is_away boolean NOT NULL DEFAULT false;
      COMMENT ON COLUMN mirror.portals.is_away IS 'was uninstalled; when it is back, it is reconciled';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE mirror.portals DROP COLUMN is_away, DROP COLUMN settings_seen,
        DROP COLUMN reconcile_due_at, DROP COLUMN backfill_asked_at;
      DROP TABLE mirror.types;
      ALTER TABLE mirror.items DROP COLUMN read_at, DROP COLUMN hidden_at, DROP COLUMN currency_id,
        DROP COLUMN opportunity, DROP COLUMN updated_by_id, DROP COLUMN created_by_id, DROP COLUMN moved_time;
    `);
  }
}
