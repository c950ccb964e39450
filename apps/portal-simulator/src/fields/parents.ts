/** An object type whose items can be parents (`parentId<entityTypeId>`) of those of another. */
export interface Parent {
  entityTypeId: number;
  title: string;
}
