// What is known of each family.
export const STATUSES: readonly {
  family: string;
  status: "right" | "warned" | "refused" | "unverified";
  why: string;
}[] = [];
