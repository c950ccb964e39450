import { DEAL_TYPE_ID, INVOICE_TYPE_ID, LEAD_TYPE_ID, QUOTE_TYPE_ID } from '../fields/standard-sets.js';
import { RestError } from '../protocol/rest-error.js';

/** Whether an item in a stage is in progress, was successful, or has failed. */
type StageSemantics = 'P' | 'S' | 'F';

/** An item of a directory: a stage, a source, a type of contacts, … (api-reference/crm/status/crm-status-list.md). */
export interface Status {
  readonly id: number;
  /** The directory: `DEAL_STAGE`, `DEAL_STAGE_1`, `STATUS` (of leads), `SOURCE`, … */
  readonly entityId: string;
  /** `NEW`, `C1:NEW`, `DT147_47:NEW` */
  readonly statusId: string;
  readonly name: string;
  readonly sort: number;
  readonly isSystem: boolean;
  /** Only of stages. */
  readonly stage?: { semantics: StageSemantics; categoryId: number | null };
}

/** A pipeline of deals or of items of a smart process (api-reference/crm/universal/category/crm-category-list.md). */
export interface Category {
  readonly id: number;
  readonly entityTypeId: number;
  readonly name: string;
  readonly sort: number;
  readonly isDefault: boolean;
}

export interface PipelinesBackup {
  lastStatusId: number;
  statuses: readonly Status[];
  categories: readonly Category[];
}

type NewStage = [code: string, name: string, semantics?: 'S' | 'F'];

const LEAD_STAGES: readonly NewStage[] = [
  ['NEW', 'Unassigned'],
  ['IN_PROCESS', 'In progress'],
  ['PROCESSED', 'Processed'],
  ['CONVERTED', 'High-quality lead', 'S'],
  ['JUNK', 'Low-quality lead', 'F'],
];
/** Of the page crm-status-list.md. */
const DEAL_STAGES: readonly NewStage[] = [
  ['NEW', 'New'],
  ['PREPARATION', 'Document preparation'],
  ['PREPAYMENT_INVOICE', 'Prepayment invoice'],
  ['EXECUTING', 'In progress'],
  ['FINAL_INVOICE', 'Final invoice'],
  ['WON', 'Deal successful', 'S'],
  ['LOSE', 'Deal failed', 'F'],
  ['APOLOGY', 'Failure reason analysis', 'F'],
];
const QUOTE_STAGES: readonly NewStage[] = [
  ['DRAFT', 'New'],
  ['SENT', 'Sent to client'],
  ['APPROVED', 'Accepted', 'S'],
  // Spelled so (crm-status-entity-types.md).
  ['DECLAINED', 'Declined', 'F'],
];
const ITEM_STAGES: readonly NewStage[] = [
  ['NEW', 'Start'],
  ['PREPARATION', 'Preparation'],
  ['CLIENT', 'With client'],
  ['SUCCESS', 'Success', 'S'],
  ['FAIL', 'Failed', 'F'],
];

/** Directories of a new portal that are no stages. */
const DIRECTORIES: Readonly<Record<string, readonly [statusId: string, name: string][]>> = {
  SOURCE: [
    ['CALL', 'Call'],
    ['EMAIL', 'E-Mail'],
    ['WEB', 'Website'],
    ['ADVERTISING', 'Advertising'],
    ['PARTNER', 'Existing client'],
    ['RECOMMENDATION', 'By recommendation'],
    ['TRADE_SHOW', 'Show/Exhibition'],
    ['WEBFORM', 'CRM form'],
    ['OTHER', 'Other'],
  ],
  CONTACT_TYPE: [
    ['CLIENT', 'Clients'],
    ['SUPPLIER', 'Suppliers'],
    ['PARTNER', 'Partners'],
    ['OTHER', 'Other'],
  ],
  COMPANY_TYPE: [
    ['CUSTOMER', 'Client'],
    ['SUPPLIER', 'Supplier'],
    ['COMPETITOR', 'Competitor'],
    ['PARTNER', 'Partner'],
    ['OTHER', 'Other'],
  ],
  EMPLOYEES: [
    ['EMPLOYEES_1', 'less than 50'],
    ['EMPLOYEES_2', '50–250'],
    ['EMPLOYEES_3', '250–500'],
    ['EMPLOYEES_4', 'over 500'],
  ],
  INDUSTRY: [
    ['IT', 'Information Technology'],
    ['MANUFACTURING', 'Manufacturing'],
    ['DELIVERY', 'Delivery'],
    ['OTHER', 'Other'],
  ],
  DEAL_TYPE: [
    ['SALE', 'Sales'],
    ['COMPLEX', 'Integrated sale'],
    ['GOODS', 'Sale of goods'],
    ['SERVICES', 'Services'],
    ['SERVICE', 'After-sales service'],
  ],
  EVENT_TYPE: [
    ['INFO', 'Information'],
    ['PHONE', 'Call'],
    ['MESSAGE', 'E-mail sent'],
  ],
  HONORIFIC: [
    ['HNR_EN_1', 'Mr.'],
    ['HNR_EN_2', 'Mrs.'],
    ['HNR_EN_3', 'Ms.'],
  ],
};

const SORT_STEP = 10;
const DEFAULT_CATEGORY_SORT = 500;
const GENERAL_SORT = 300;

/** The pipelines and directories of one portal. */
export class Pipelines {
  private lastStatusId = 100;
  private statuses: Status[] = [];
  private allCategories: Category[] = [];

  constructor() {
    for (const [entityId, entries] of Object.entries(DIRECTORIES)) {
      entries.forEach(([statusId, name], index) => {
        this.push({ entityId, statusId, name, sort: SORT_STEP * (index + 1), isSystem: false });
      });
    }
    this.addStages(LEAD_TYPE_ID, null);
    this.addStages(QUOTE_TYPE_ID, null);
    this.addCategory(DEAL_TYPE_ID, { id: 0, name: 'General', sort: GENERAL_SORT });
  }

  all(): readonly Status[] {
    return this.statuses;
  }

  /** By their sort index. @throws RestError ENTITY_TYPE_NOT_SUPPORTED for an object type without pipelines */
  categories(entityTypeId: number): Category[] {
    const found = this.allCategories.filter((category) => category.entityTypeId === entityTypeId);
    if (found.length === 0) throw noPipelines(entityTypeId);
    return found.toSorted((left, right) => left.sort - right.sort || left.id - right.id);
  }

  /** With stages of its own. The first one of an object type is its default. */
  addCategory(
    entityTypeId: number,
    { id, name, sort }: { id?: number; name: string; sort?: number | undefined },
  ): Category {
    const others = this.allCategories.filter((category) => category.entityTypeId === entityTypeId);
    const category: Category = {
      id: id ?? Math.max(0, ...others.map((other) => other.id)) + 1,
      entityTypeId,
      name,
      sort: Math.max(0, sort ?? DEFAULT_CATEGORY_SORT),
      isDefault: others.length === 0,
    };
    this.allCategories.push(category);
    this.addStages(entityTypeId, category.id);
    return category;
  }

  /** Of a smart process that is deleted. */
  removeType(entityTypeId: number): void {
    const directories = new Set(
      this.allCategories
        .filter((category) => category.entityTypeId === entityTypeId)
        .map(({ id }) => directoryOf(entityTypeId, id)),
    );
    this.statuses = this.statuses.filter(({ entityId }) => !directories.has(entityId));
    this.allCategories = this.allCategories.filter((category) => category.entityTypeId !== entityTypeId);
  }

  /** Stages in their order; none of a pipeline that does not exist. */
  stages(entityTypeId: number, categoryId: number | null): Status[] {
    const directory = directoryOf(entityTypeId, categoryId);
    return this.statuses.filter(({ entityId }) => entityId === directory);
  }

  /** `ENTITY_ID` of the stages of the default pipeline. */
  defaultDirectory(entityTypeId: number): string {
    const category = this.allCategories.find((one) => one.entityTypeId === entityTypeId && one.isDefault);
    return directoryOf(entityTypeId, category?.id ?? null);
  }

  /** `P` of a stage that does not exist. */
  semanticsOf(entityTypeId: number, categoryId: number | null, stageId: string): StageSemantics {
    const stages = this.stages(entityTypeId, categoryId);
    return stages.find(({ statusId }) => statusId === stageId)?.stage?.semantics ?? 'P';
  }

  backup(): PipelinesBackup {
    return {
      lastStatusId: this.lastStatusId,
      statuses: [...this.statuses],
      categories: [...this.allCategories],
    };
  }

  restore({ lastStatusId, statuses, categories }: PipelinesBackup): void {
    this.lastStatusId = lastStatusId;
    this.statuses = [...statuses];
    this.allCategories = [...categories];
  }

  private addStages(entityTypeId: number, categoryId: number | null): void {
    const entityId = directoryOf(entityTypeId, categoryId);
    const prefix = stagePrefix(entityTypeId, categoryId);
    newStagesOf(entityTypeId).forEach(([code, name, semantics], index) => {
      this.push({
        entityId,
        statusId: prefix + code,
        name,
        sort: SORT_STEP * (index + 1),
        isSystem: index === 0 || semantics !== undefined,
        stage: { semantics: semantics ?? 'P', categoryId },
      });
    });
  }

  private push(status: Omit<Status, 'id'>): void {
    this.lastStatusId += 2;
    this.statuses.push({ id: this.lastStatusId, ...status });
  }
}

/** `ENTITY_ID` of the stages of a pipeline (crm-status-entity-types.md). */
function directoryOf(entityTypeId: number, categoryId: number | null): string {
  switch (entityTypeId) {
    case LEAD_TYPE_ID:
      return 'STATUS';
    case QUOTE_TYPE_ID:
      return 'QUOTE_STATUS';
    case DEAL_TYPE_ID:
      return categoryId === 0 || categoryId === null ? 'DEAL_STAGE' : `DEAL_STAGE_${categoryId}`;
    case INVOICE_TYPE_ID:
      return `SMART_INVOICE_STAGE_${categoryId ?? ''}`;
    default:
      return `DYNAMIC_${entityTypeId}_STAGE_${categoryId ?? ''}`;
  }
}

function stagePrefix(entityTypeId: number, categoryId: number | null): string {
  if (categoryId === null) return '';
  if (entityTypeId === DEAL_TYPE_ID) return categoryId === 0 ? '' : `C${categoryId}:`;
  return `DT${entityTypeId}_${categoryId}:`;
}

function newStagesOf(entityTypeId: number): readonly NewStage[] {
  switch (entityTypeId) {
    case LEAD_TYPE_ID:
      return LEAD_STAGES;
    case DEAL_TYPE_ID:
      return DEAL_STAGES;
    case QUOTE_TYPE_ID:
      return QUOTE_STAGES;
    default:
      return ITEM_STAGES;
  }
}

function noPipelines(entityTypeId: number): RestError {
  return new RestError('ENTITY_TYPE_NOT_SUPPORTED', `Entity type ${entityTypeId} is not supported`);
}
