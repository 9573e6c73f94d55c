"""NLTK and gensim in their breadth: parsers, stemmers, translation, topics."""

import os
import pickle

import gensim
import nltk

from .words import SENTENCES, TAGGED


def nltk_models():
    from nltk import classify, featstruct, lm, metrics, parse, probability, sem, stem, tag, tokenize, translate

    grammar = nltk.CFG.fromstring("S -> NP VP\nNP -> 'cat' | 'dog'\nVP -> 'sat'")
    weighted = nltk.PCFG.fromstring("S -> NP VP [1.0]\nNP -> 'cat' [0.4] | 'dog' [0.6]\nVP -> 'sat' [1.0]")
    freq = probability.FreqDist("abracadabra")
    for name in ("RecursiveDescentParser", "ShiftReduceParser", "EarleyChartParser", "BottomUpChartParser", "LeftCornerChartParser", "TopDownChartParser"):
        yield "parser-" + name.lower(), lambda name=name: getattr(parse, name)(grammar)
    yield "parser-viterbi", lambda: parse.ViterbiParser(weighted)
    yield "parser-inside", lambda: parse.pchart.InsideChartParser(weighted)
    yield "pcfg", lambda: weighted
    yield "feature-grammar", lambda: nltk.grammar.FeatureGrammar.fromstring("S -> NP[NUM=?n]\nNP[NUM=sg] -> 'cat'")
    yield "dependency-graph", lambda: parse.DependencyGraph("cat NN 2\nsat VB 0\n")
    yield "featstruct", lambda: featstruct.FeatStruct(a=1, b=featstruct.FeatStruct(c="x"))
    yield "logic", lambda: sem.Expression.fromstring("all x.(cat(x) -> sat(x))")
    yield "valuation", lambda: sem.Valuation([("a", "b1")])
    for name in ("MLE", "Lidstone", "Laplace", "WittenBellInterpolated", "AbsoluteDiscountingInterpolated", "StupidBackoff"):
        yield "lm-" + name.lower(), lambda name=name: fitted(getattr(lm, name), *([0.4] if name == "Lidstone" else []))
    for language in ("english", "german", "french", "russian", "porter"):
        yield "snowball-" + language, lambda language=language: stem.SnowballStemmer(language)
    yield "stemmers", lambda: [stem.ISRIStemmer(), stem.Cistem(), stem.RegexpStemmer("ing$"), stem.ARLSTem()]
    for name in ("TweetTokenizer", "ToktokTokenizer", "NISTTokenizer", "WordPunctTokenizer", "BlanklineTokenizer", "SExprTokenizer", "LineTokenizer", "TabTokenizer",
                 "SyllableTokenizer", "NLTKWordTokenizer", "TreebankWordDetokenizer", "SpaceTokenizer"):
        yield "tokenizer-" + name.lower(), lambda name=name: getattr(tokenize, name, None)() if hasattr(tokenize, name) else getattr(tokenize.treebank, name)()
    yield "texttiling-names", lambda: tokenize.TextTilingTokenizer(stopwords=["the"])
    bitext = [translate.AlignedSent(["das", "haus"], ["the", "house"]), translate.AlignedSent(["das", "buch"], ["the", "book"])]
    for i in (1, 2, 3):
        yield f"ibm{i}", lambda i=i: getattr(translate, f"IBMModel{i}")(bitext, 2)
    yield "aligned", lambda: bitext
    yield "phrase-table", phrases
    for name in ("LaplaceProbDist", "SimpleGoodTuringProbDist", "WittenBellProbDist", "LidstoneProbDist", "HeldoutProbDist", "KneserNeyProbDist", "UniformProbDist"):
        yield "probability-" + name.lower(), lambda name=name: distribution(probability, name, freq)
    yield "confusion", lambda: metrics.ConfusionMatrix(list("ab"), list("aa"))
    yield "agreement", lambda: metrics.agreement.AnnotationTask([("c1", "i1", "a"), ("c2", "i1", "a")])
    yield "bigram-measures", lambda: metrics.BigramAssocMeasures()
    yield "classifier-tagger", lambda: tag.ClassifierBasedPOSTagger(train=TAGGED)
    yield "trigram-tagger", lambda: tag.TrigramTagger(TAGGED, backoff=tag.NgramTagger(1, TAGGED))
    yield "context-tagger", lambda: tag.DefaultTagger("NN")
    yield "cfg", lambda: grammar
    yield "multi-classifier", lambda: classify.MultiClassifierI()
    yield "parented-tree", lambda: nltk.ParentedTree.fromstring("(S (NP cat) (VP sat))")
    yield "immutable-tree", lambda: nltk.ImmutableTree.fromstring("(S (NP cat))")
    yield "probabilistic-tree", lambda: nltk.ProbabilisticTree("S", ["cat"], prob=0.5)
    yield "gaac", gaac
    yield "em", em
    yield "text-collection", lambda: nltk.TextCollection([nltk.Text(s) for s in SENTENCES])
    yield "trigrams", lambda: nltk.collocations.TrigramCollocationFinder.from_words(sum(SENTENCES, []))
    yield "ordered-dict", lambda: nltk.collections.OrderedDict([("a", 1)])


def fitted(kind, *args):
    from nltk.lm.preprocessing import padded_everygram_pipeline

    grams, words = padded_everygram_pipeline(2, SENTENCES)
    model = kind(*args, order=2)
    model.fit(grams, words)
    return model


def phrases():
    table = nltk.translate.PhraseTable()
    table.add(("das",), ("the",), -0.1)
    return table


def distribution(probability, name, freq):
    kind = getattr(probability, name)
    return {"LidstoneProbDist": lambda: kind(freq, 0.1), "HeldoutProbDist": lambda: kind(freq, freq), "UniformProbDist": lambda: kind(["a", "b"]),
            "WittenBellProbDist": lambda: kind(freq, 30), "KneserNeyProbDist": lambda: kind(probability.FreqDist(nltk.trigrams("abracadabra")))}.get(name, lambda: kind(freq))()


def gaac():
    import numpy as np

    model = nltk.cluster.GAAClusterer(2)
    model.cluster([np.array([1.0, 2]), np.array([3.0, 4]), np.array([1.0, 1])])
    return model


def em():
    return nltk.cluster.EMClusterer([[0.0, 0.0], [3.0, 3.0]], bias=0.1)


def gensim_models():
    from gensim import corpora, models
    from gensim.models import callbacks, poincare  # noqa: F401

    words = corpora.Dictionary(SENTENCES)
    bags = [words.doc2bow(s) for s in SENTENCES]
    yield "word2vec-hs", lambda: models.Word2Vec(SENTENCES, vector_size=4, min_count=1, workers=1, hs=1, negative=0, seed=1)
    yield "word2vec-sg", lambda: models.Word2Vec(SENTENCES, vector_size=4, min_count=1, workers=1, sg=1, compute_loss=True, seed=1)
    yield "doc2vec-dm", lambda: models.Doc2Vec([models.doc2vec.TaggedDocument(s, [f"d{i}"]) for i, s in enumerate(SENTENCES)], dm=1, dm_concat=1, vector_size=4,
                                               min_count=1, workers=1, seed=1)
    yield "authors", lambda: models.AuthorTopicModel(bags, num_topics=2, id2word=words, author2doc={"a": list(range(len(bags)))}, random_state=1)
    yield "lda-multi", lambda: models.LdaMulticore(bags, num_topics=2, id2word=words, workers=1, random_state=1)
    yield "ldaseq", lambda: models.LdaSeqModel(bags, id2word=words, time_slice=[10, 10], num_topics=2, em_max_iter=1, em_min_iter=1, passes=1)
    yield "poincare", lambda: poincare_model()
    yield "hash-dictionary", lambda: corpora.HashDictionary(SENTENCES)
    yield "normalised", lambda: models.NormModel(bags)
    yield "coherence", lambda: models.CoherenceModel(topics=[["cat", "dog"]], texts=SENTENCES, dictionary=words, coherence="u_mass")
    yield "similarity-shards", lambda: gensim.similarities.Similarity(None, bags, num_features=len(words))
    yield "term-similarity", lambda: gensim.similarities.SparseTermSimilarityMatrix(gensim.similarities.UniformTermSimilarityIndex(words), words)
    yield "translation", lambda: models.TranslationMatrix(vectors(models), vectors(models), [("cat", "cat"), ("dog", "dog")])
    yield "npmi-phrases", lambda: models.Phrases(SENTENCES, scoring="npmi", threshold=0.1, min_count=1)


def vectors(models):
    return models.Word2Vec(SENTENCES, vector_size=4, min_count=1, workers=1, seed=1).wv


def poincare_model():
    from gensim.models.poincare import PoincareModel

    model = PoincareModel([("cat", "animal"), ("dog", "animal")], size=2, negative=1, seed=1)
    model.train(1)
    return model


def add(shelf):
    v = nltk.__version__
    for i, (name, make) in enumerate(nltk_models()):
        shelf.bytes(f"language/nltk-{name}.pickle", "benign", "nltk+pickle", v, lambda m=make, p=(2, 4, 3, 5)[i % 4]: pickle.dumps(m(), protocol=p))
    for i, (name, make) in enumerate(gensim_models()):
        shelf.bytes(f"language/gensim-{name}.pkl", "benign", "gensim+pickle", gensim.__version__, lambda m=make, p=(4, 2, 5, 3)[i % 4]: pickle.dumps(m(), protocol=p))

        def write(target, m=make):
            m().save(target)
            folder = os.path.dirname(target)
            return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]

        if hasattr(gensim.utils.SaveLoad, "save"):
            shelf.add(f"language/{name}/model", "benign", "gensim.save", gensim.__version__, write)
