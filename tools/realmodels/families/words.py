"""gensim and NLTK: what natural-language libraries save."""

import gensim
import nltk
import os
import pickle

SENTENCES = [s.split() for s in ("the cat sat on the mat", "a dog ran to the cat", "dogs and cats run", "the mat was red")] * 5
TAGGED = [[("the", "DT"), ("cat", "NN"), ("sat", "VB")], [("a", "DT"), ("dog", "NN"), ("ran", "VB")]] * 3


def gensim_models():
    from gensim import corpora, models
    from gensim.models import doc2vec, fasttext, phrases

    words = corpora.Dictionary(SENTENCES)
    bags = [words.doc2bow(s) for s in SENTENCES]
    tfidf = models.TfidfModel(bags)
    yield "dictionary", lambda: words
    yield "word2vec", lambda: models.Word2Vec(SENTENCES, vector_size=8, min_count=1, workers=1, seed=1)
    yield "keyedvectors", lambda: models.Word2Vec(SENTENCES, vector_size=8, min_count=1, workers=1, seed=1).wv
    yield "fasttext", lambda: fasttext.FastText(SENTENCES, vector_size=8, min_count=1, workers=1, bucket=50, seed=1)
    yield "doc2vec", lambda: doc2vec.Doc2Vec([doc2vec.TaggedDocument(s, [i]) for i, s in enumerate(SENTENCES)], vector_size=8, min_count=1, workers=1, seed=1)
    yield "lda", lambda: models.LdaModel(bags, num_topics=2, id2word=words, random_state=1)
    yield "lsi", lambda: models.LsiModel(bags, num_topics=2, id2word=words)
    yield "hdp", lambda: models.HdpModel(bags, words, random_state=1)
    yield "nmf", lambda: models.Nmf(bags, num_topics=2, id2word=words, random_state=1)
    yield "tfidf", lambda: tfidf
    yield "rp", lambda: models.RpModel(bags, num_topics=2)
    yield "logentropy", lambda: models.LogEntropyModel(bags)
    yield "phrases", lambda: phrases.Phrases(SENTENCES, min_count=1)
    yield "phraser", lambda: phrases.Phrases(SENTENCES, min_count=1).freeze()
    yield "similarity", lambda: gensim.similarities.MatrixSimilarity(tfidf[bags], num_features=len(words))
    yield "sparse-similarity", lambda: gensim.similarities.SparseMatrixSimilarity(tfidf[bags], num_features=len(words))


def nltk_models():
    from nltk import chunk, classify, cluster, lm, probability, stem, tag, tokenize
    from nltk.collocations import BigramCollocationFinder
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTrainer

    features = [({"last": n[-1], "len": len(n)}, l) for n, l in (("anna", "f"), ("otto", "m"), ("eva", "f"), ("karl", "m"))]
    yield "naivebayes", lambda: classify.NaiveBayesClassifier.train(features)
    yield "decisiontree", lambda: classify.DecisionTreeClassifier.train(features)
    yield "maxent", lambda: classify.MaxentClassifier.train(features, trace=0, max_iter=2)
    yield "sklearn-classifier", lambda: sklearn_classifier(features)
    yield "positive-naivebayes", lambda: classify.PositiveNaiveBayesClassifier.train([f for f, _ in features[:2]], [f for f, _ in features])
    yield "unigram", lambda: tag.UnigramTagger(TAGGED)
    yield "bigram-backoff", lambda: tag.BigramTagger(TAGGED, backoff=tag.UnigramTagger(TAGGED, backoff=tag.DefaultTagger("NN")))
    yield "affix", lambda: tag.AffixTagger(TAGGED)
    yield "regexp-tagger", lambda: tag.RegexpTagger([(r".*ing$", "VBG"), (r".*", "NN")])
    yield "perceptron", lambda: trained_perceptron(tag)
    yield "tnt", lambda: trained_tnt(tag)
    yield "brill-template", lambda: tag.brill.Template(tag.brill.Word([-1]))
    yield "brill", lambda: tag.BrillTaggerTrainer(tag.UnigramTagger(TAGGED), tag.brill.fntbl37()).train(TAGGED, max_rules=2)
    yield "punkt", lambda: PunktSentenceTokenizer("Mr. Smith went. He ran.")
    yield "punkt-parameters", lambda: PunktTrainer("Mr. Smith went. He ran.").get_params()
    yield "freqdist", lambda: probability.FreqDist(sum(SENTENCES, []))
    yield "condfreqdist", lambda: probability.ConditionalFreqDist((w[0], w) for s in SENTENCES for w in s)
    yield "probdist", lambda: [kind(probability.FreqDist(sum(SENTENCES, []))) for kind in (probability.MLEProbDist, probability.ELEProbDist)]
    yield "language-model", lambda: fitted_lm(lm.Laplace)
    yield "kneserney", lambda: fitted_lm(lm.KneserNeyInterpolated)
    yield "vocabulary", lambda: lm.Vocabulary(sum(SENTENCES, []))
    yield "tree", lambda: nltk.Tree.fromstring("(S (NP the cat) (VP sat))")
    yield "grammar", lambda: nltk.CFG.fromstring("S -> NP VP\nNP -> 'cat'\nVP -> 'sat'")
    yield "chart-parser", lambda: nltk.ChartParser(nltk.CFG.fromstring("S -> NP VP\nNP -> 'cat'\nVP -> 'sat'"))
    yield "regexp-chunker", lambda: chunk.RegexpParser("NP: {<DT>?<NN>}")
    yield "stemmers", lambda: [stem.PorterStemmer(), stem.LancasterStemmer(), stem.WordNetLemmatizer()]
    yield "tokenizers", lambda: [tokenize.TreebankWordTokenizer(), tokenize.RegexpTokenizer(r"\w+"), tokenize.TweetTokenizer(), tokenize.WhitespaceTokenizer(),
                                 tokenize.MWETokenizer([("a", "b")])]
    yield "collocations", lambda: BigramCollocationFinder.from_words(sum(SENTENCES, []))
    yield "text", lambda: nltk.Text(sum(SENTENCES, []))
    yield "kmeans", lambda: clustered(cluster)


def sklearn_classifier(features):
    from nltk.classify.scikitlearn import SklearnClassifier
    from sklearn.naive_bayes import BernoulliNB

    return SklearnClassifier(BernoulliNB()).train(features)


def trained_perceptron(tag):
    tagger = tag.PerceptronTagger(load=False)
    tagger.train(TAGGED, nr_iter=1)
    return tagger


def trained_tnt(tag):
    tagger = tag.TnT()
    tagger.train(TAGGED)
    return tagger


def fitted_lm(kind):
    from nltk.lm.preprocessing import padded_everygram_pipeline

    grams, words = padded_everygram_pipeline(2, SENTENCES)
    model = kind(2)
    model.fit(grams, words)
    return model


def clustered(cluster):
    import numpy as np

    model = cluster.KMeansClusterer(2, cluster.euclidean_distance, rng=__import__("random").Random(1))
    model.cluster([np.array([1.0, 2]), np.array([3.0, 4]), np.array([1.0, 1])])
    return model


def add(shelf):
    for name, make in gensim_models():
        def write(target, make=make):
            folder = os.path.dirname(target)
            make().save(target)
            return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]
        shelf.add(f"gensim/{name}/model", "benign", "gensim.save", gensim.__version__, write)
    from gensim import models
    vectors = lambda: models.Word2Vec(SENTENCES, vector_size=8, min_count=1, workers=1, seed=1)  # noqa: E731
    for binary in (False, True):
        shelf.add(f"gensim/word2vec.{'bin' if binary else 'txt'}", "benign", "gensim.save_word2vec_format", gensim.__version__,
                  lambda target, b=binary: vectors().wv.save_word2vec_format(target, binary=b))

    def separate(target):
        model = vectors()
        model.save(target, sep_limit=1)
        folder = os.path.dirname(target)
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]

    shelf.add("gensim/separate/model", "benign", "gensim.save", gensim.__version__, separate)
    shelf.add("gensim/packed/model.gz", "benign", "gensim.save", gensim.__version__, lambda target: vectors().save(target))
    for i, (name, make) in enumerate(nltk_models()):
        shelf.bytes(f"nltk/{name}.pickle", "benign", "nltk+pickle", nltk.__version__, lambda m=make, p=(4, 2, 3, 5, 1, 0)[i % 6]: pickle.dumps(m(), protocol=p))
