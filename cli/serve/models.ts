/** Finds the model that a request means by its name. */
import { quoted } from "../quote.ts";
import { Problem } from "./problem.ts";
import type { Role, ServedModel } from "./served_model.ts";

/** What goes before each text by the model's own habit. */
export type InputType = "query" | "document";

/** The model that a request means. */
export interface Choice {
  readonly model: ServedModel;
  /** Of `NAME@query` and `NAME@document`. */
  readonly inputType: InputType | undefined;
  /** The name as it was asked for. */
  readonly name: string;
}

const PURPOSE = { embed: "it embeds: use /v1/embeddings", rerank: "it reranks: use /v1/rerank" } as const;

/** The models of a server, by role and name. */
export class Models {
  readonly all: readonly ServedModel[];
  readonly #strict: boolean;

  /** @param strict Whether a name must be one of the model's, also where there is only one model. */
  constructor(all: readonly ServedModel[], strict: boolean) {
    this.all = all;
    this.#strict = strict;
    for (const role of ["embed", "rerank"] as const) {
      const names = this.of(role).flatMap((model) => [...new Set(model.names)]); // one may say a name twice
      const twice = names.find((name, i) => names.indexOf(name) !== i);
      if (twice !== undefined) {
        throw new RangeError(
          `Cannot serve two models as ${quoted(twice)}: give each a name of its own, --${role} M=NAME`,
        );
      }
    }
  }

  of(role: Role): readonly ServedModel[] {
    return this.all.filter((model) => model.role === role);
  }

  /**
   * The model that a name means.
   *
   * @param name Undefined where the family has no names: then it is the first.
   * @throws {Problem} when there is none of the role, or none of that name.
   */
  choose(role: Role, name: unknown, wanted = true): Choice {
    if (name !== undefined && typeof name !== "string") {
      throw new Problem("invalid", "Cannot read model: it must be a string", { field: "model" });
    }
    const ours = this.of(role);
    if (ours.length === 0) {
      const other = role === "embed" ? "no embedding model" : "no reranker";
      throw new Problem("wrong_model", `Cannot answer: this server has ${other}; start it with --${role}`);
    }
    if (name === undefined) {
      if (wanted && (this.#strict || ours.length > 1)) {
        throw new Problem("invalid", `Cannot tell which model: give model, one of ${this.#list(role)}`, {
          field: "model",
        });
      }
      return { model: ours[0]!, inputType: undefined, name: ours[0]!.name };
    }
    const { bare, inputType } = this.#read(name, role);
    const found = ours.find((model) => model.names.includes(bare));
    if (found) return { model: found, inputType, name };
    const other = this.all.find((model) => model.role !== role && model.names.includes(bare));
    if (other) {
      throw new Problem("wrong_model", `Cannot use the model ${quoted(name, 100)} here: ${PURPOSE[other.role]}`, {
        field: "model",
      });
    }
    if (ours.length === 1 && !this.#strict) return { model: ours[0]!, inputType, name };
    throw new Problem(
      "model_not_found",
      `Cannot find the model ${quoted(name, 100)}: there is ${this.#list(role)}`,
      { field: "model" },
    );
  }

  /** The model of a name, whatever its role; for lists. */
  find(name: string): ServedModel | undefined {
    const [embed, rerank] = (["embed", "rerank"] as const).map((role) => {
      const { bare } = this.#read(name, role);
      return this.of(role).find((model) => model.names.includes(bare));
    });
    return embed ?? rerank;
  }

  #read(name: string, role: Role): { bare: string; inputType: InputType | undefined } {
    if (this.of(role).some((model) => model.names.includes(name))) return { bare: name, inputType: undefined };
    const plain = name.replace(/:latest$/, "");
    const [, before, type] = /^(.+)@(query|document)$/.exec(plain) ?? [];
    const bare = (before ?? plain).replace(/:latest$/, "");
    return { bare, inputType: role === "embed" ? type as InputType | undefined : undefined };
  }

  #list(role: Role): string {
    return this.of(role).map(({ name }) => quoted(name, 100)).join(", ");
  }
}
