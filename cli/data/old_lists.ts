/**
 * Gives the lists of a Parquet file the usual layout, in which a list has a repeated group, and that its element. Files of older
 * writers, such as parquet-avro's and protobuf's, repeat the element itself. The levels of its values are the same in both, so the
 * file is read as if it had been written so, and what is kept is written so.
 *
 * By the rules for old files of https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists.
 */
import type { FileMetaData, SchemaElement } from "hyparquet";

const LIST = { num_children: 1, converted_type: "LIST", logical_type: { type: "LIST" } } as const;
const GROUP: SchemaElement = { name: "list", repetition_type: "REPEATED", num_children: 1 };

/** The metadata with the schema of usual lists; itself where there are no others. */
export function withUsualLists(metadata: FileMetaData): FileMetaData {
  const schema: SchemaElement[] = [];
  const paths = new Map<string, string[]>();
  let next = 0;
  /** Takes the next element, with those below it, from one path to the other. */
  function take(from: readonly string[], to: readonly string[], parent: SchemaElement): void {
    const element = metadata.schema[next++]!;
    const { name, num_children = 0 } = element;
    const layers = layersOf(element, parent);
    schema.push(...layers);
    const [before, now] = [[...from, name], [...to, ...layers.map(({ name }) => name)]];
    if (num_children === 0) paths.set(before.join(), now);
    for (let i = 0; i < num_children; i++) take(before, now, element);
  }
  const root = metadata.schema[next++]!;
  schema.push(root);
  for (let i = 0; i < (root.num_children ?? 0); i++) take([], [], root);
  if (schema.length === metadata.schema.length) return metadata;
  const row_groups = metadata.row_groups.map((group) => ({
    ...group,
    columns: group.columns.map((chunk) => {
      const { meta_data } = chunk;
      if (!meta_data) return chunk;
      return { ...chunk, meta_data: { ...meta_data, path_in_schema: paths.get(meta_data.path_in_schema.join())! } };
    }),
  }));
  return { ...metadata, schema, row_groups };
}

/** An element as the usual layout has it. */
function layersOf(element: SchemaElement, parent: SchemaElement): SchemaElement[] {
  const { name, repetition_type, num_children = 0 } = element;
  if (repetition_type !== "REPEATED") return [element];
  const item: SchemaElement = { ...element, name: "element", repetition_type: "REQUIRED" };
  if (parent.converted_type === "LIST") {
    const isItem = num_children !== 1 || name === "array" || name === `${parent.name}_tuple`;
    return isItem ? [GROUP, item] : [element];
  }
  const ofMap = parent.converted_type === "MAP" || parent.converted_type === "MAP_KEY_VALUE";
  return ofMap ? [element] : [{ ...LIST, name, repetition_type: "REQUIRED" }, GROUP, item];
}
